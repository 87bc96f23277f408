"""``make signals``: run a teacher once over a set of faces and store what it says of each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from distill.config.training_jobs import SignalsConf
from distill.data.faceset import FaceSet
from distill.data.pairs import Pairs
from distill.errors import UserError
from distill.files.writable import require_writable
from distill.report.terminal import print_facts
from distill.runs.assemble import augmentation, labelled_faces, open_teacher, try_out, verification_pairs, with_transfer
from distill.runs.signal_lookup import ROOT
from distill.runs.signal_writing import (
    Storing,
    bound,
    keep_centres,
    keep_distances,
    missing_shards,
    store_name,
    stored_views,
    teacher_distances,
)
from distill.runs.unfinished import tell_unfinished_signals
from distill.shown import shown
from distill.signals.manifest import Manifest
from distill.signals.set_outputs import CARD, mean_centres
from distill.signals.store import Store
from teachers.card import write_card


@dataclass(frozen=True)
class SignalInputs:
    """The inputs: faces, the pairs that the teacher is tried on, and the teacher with the views to be stored."""

    faces: FaceSet
    pairs: Sequence[Pairs]
    storing: Storing


def run(conf: SignalsConf) -> int:
    """Write every shard that is missing or damaged, then what is stored once; 0."""
    opened = _open(conf)
    wanted = opened.storing.manifest(opened.faces)
    precision = opened.storing.precision
    what = f"{conf.teacher.name}-{conf.data.name}"
    folder = Path(conf.out) if conf.out else ROOT / store_name(what, wanted, precision)
    tell_unfinished_signals(folder, wanted)
    manifest = bound(folder, wanted, precision)
    written = opened.storing.fill(folder, manifest, opened.faces)
    if missing := missing_shards(folder, manifest):
        print(f"{len(missing)} of {manifest.shards} shards are being written by other processes; the last one finishes")
        return 0
    _write_extras(folder, manifest, opened)
    _tell(folder, manifest, written)
    return 0


def _open(conf: SignalsConf) -> SignalInputs:
    views = stored_views(conf, augmentation(conf.data))
    labelled, pairs = labelled_faces(conf.data), verification_pairs(conf.data)
    teacher = open_teacher(conf.teacher, labelled.fingerprint())
    if teacher is None:
        raise UserError("teacher=none has nothing to store; expected a teacher with weights")
    opened = SignalInputs(with_transfer(labelled, conf.data), pairs, Storing(conf, teacher, views))
    require_writable((Path(conf.out) if conf.out else ROOT / "new") / CARD)
    try_out(teacher, conf.teacher, pairs[0])
    return opened


def _write_extras(folder: Path, manifest: Manifest, opened: SignalInputs) -> None:
    """Class centres, the teacher's distances of the verification pairs, and its card; what is there and whole stays."""
    teacher, faces = opened.storing.teacher, opened.faces

    def centres() -> Tensor:
        own = teacher.classifier
        return own if own is not None else mean_centres(Store(folder, faces), faces.labels, faces.classes)

    keep_centres(folder, manifest, centres)
    keep_distances(folder, manifest, opened.pairs, lambda pairs: teacher_distances(teacher, pairs))
    write_card(teacher.card, folder / CARD)


def _tell(folder: Path, manifest: Manifest, written: int) -> None:
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
