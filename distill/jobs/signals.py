"""``make signals``: run a teacher once over a set of faces and store its outputs for each image."""

from __future__ import annotations

from pathlib import Path

from distill.config.training_jobs import SignalsConf
from distill.report.terminal import print_facts
from distill.runs.signal_inputs import open_signal_inputs, write_set_outputs
from distill.runs.signal_lookup import ROOT
from distill.runs.signal_writing import bound, missing_shards, store_name
from distill.runs.unfinished import report_unfinished_signals
from distill.shown import shown
from distill.signals.manifest import SignalManifest


def run(conf: SignalsConf) -> int:
    """Write every shard that is missing or damaged, then what is stored once; 0."""
    opened = open_signal_inputs(conf)
    wanted = opened.storing.manifest(opened.faces)
    precision = opened.storing.precision
    what = f"{conf.teacher.name}-{conf.data.name}"
    folder = Path(conf.out) if conf.out else ROOT / store_name(what, wanted, precision)
    report_unfinished_signals(folder, wanted)
    manifest = bound(folder, wanted, precision)
    written = opened.storing.fill(folder, manifest, opened.faces)
    if missing := missing_shards(folder, manifest):
        print(f"{len(missing)} of {manifest.shards} shards are being written by other processes; the last one finishes")
        return 0
    write_set_outputs(folder, manifest, opened)
    _print(folder, manifest, written)
    return 0


def _print(folder: Path, manifest: SignalManifest, written: int) -> None:
    size = sum(path.stat().st_size for path in folder.iterdir())
    rows = [
        ("images", f"{manifest.images:,}, {manifest.columns} views each"),
        ("outputs", ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in manifest.arrays.items())),
        ("shards", f"{manifest.shards:,}, {written:,} written now"),
        ("size", f"{size:,} B, {size / manifest.images:,.0f} B an image"),
    ]
    print_facts("signals", rows)
    print(f"folder    {shown(folder)}")
    print(f"distil    make distill teacher={manifest.teacher['name']} … signals={shown(folder)}")
