"""New people in a night: warm start from the champion or training from scratch, and how much of the old data to replay.

    .venv/bin/python benchmarks/continual.py DATA_ROOT [--images 4000] [--people 500] [--seeds 1]

DATA_ROOT holds labelled/ (RecordIO), lfw_dev.bin and reference_teacher.onnx. Of the people with the most pictures one
in five is new. Each person with four pictures or more keeps two back for the frozen pairs: ``old`` of old people,
which measure forgetting, and ``new`` of new ones, which measure the gain; LFW's people are in neither set. A small
student learns from stored signals by the default objective and a margin loss with centres of its own. The champion saw
the old people for ``--images`` samples seen; a night has a quarter of that, unless WAYS has another share.

Runs are kept below runs/continual, so that a stopped benchmark continues; figures go to
benchmarks/results/continual.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from distilling import machine

from distill.cli import main
from distill.data.pairs import read_pairs, write_pairs
from distill.data.recordio import RecordIOSet
from distill.data.records import RecordWriter

RESULT = Path(__file__).parent / "results" / "continual.json"
FOLDER = Path("runs") / "continual"
SEED, NEW_EVERY, HELD_OUT, IMPOSTORS = 2019, 5, 2, 2
OLD_PAIRS_PEOPLE, LFW_PAIRS = 200, 300
NIGHT = 0.25
"""Length of a night in parts of the champion's."""

STUDENT = [
    *("student.network.widths=[16,24,48,96]", "student.network.units=[1,2,1]"),
    *("student.network.last_channels=256", "student.network.embedding_dim=128"),
]
SHORT = ["trainer.compile=false", "trainer.validate_pairs=10", "trainer.checkpoint_every_steps=1000", "tracking=none"]
WHERE = {"champion": "base"}
"""Ways that are not shown everybody."""
WAYS: dict[str, tuple[float, list[str]]] = {
    "champion": (1.0, []),
    "anew": (1.0, []),
    "on, 0.3 of the old": (NIGHT, ["replay.share=0.3"]),
    "on, no old images": (NIGHT, ["replay.share=0"]),
    "on, all old images": (NIGHT, ["replay.share=1"]),
    "anew, a quarter": (NIGHT, []),
    "on, 0.3, fresh centres": (NIGHT, ["replay.share=0.3", "student.centres=null"]),
    "on, all, as long": (1.0, ["replay.share=1"]),
    "on, 0.3, trainer auto": (NIGHT, ["replay.share=0.3", "trainer=auto"]),
}
"""How long, in parts of the champion's run, and by which options; "on" starts from the champion."""
SETS = ("old", "new", "lfw_dev")


def compare() -> int:
    arguments = _arguments()
    data: Path = arguments.data
    runs = FOLDER / f"{arguments.people}-people-{arguments.images}-images"  # another size has other data and runs
    old_images = prepare(data, runs / "data", arguments.people)
    teacher = ["teacher=onnx", f"teacher.weights={data / 'reference_teacher.onnx'}", "data.augment.shift_px=0"]
    for part in ("base", "all"):
        _store([*teacher, f"data.root={runs}/data/{part}", f"out={runs}/signals-{part}"])
    found: dict[str, dict[str, Any]] = {}
    for seed in range(1, arguments.seeds + 1):
        for way in WAYS:
            name = _name(way, seed)
            _distil(runs, name, [*teacher, *_options(runs, way, seed, old_images, arguments.images)])
            found[name] = _row(runs / name)
            print(f"{name}: {found[name]}", flush=True)
            _write(arguments, old_images, found)
    print(table(found))
    return 0


def prepare(source: Path, target: Path, people: int) -> int:
    """Write ``target/base`` and ``target/all``, the old people and then the new, with frozen pairs beside them.

    Returns how many images are of old people.
    """
    done = target / "old_images.json"  # written last
    if done.exists():
        return json.loads(done.read_text())
    faces = RecordIOSet(source / "labelled")
    counts = np.bincount(faces.labels, minlength=faces.classes)
    order = np.random.default_rng(SEED).permutation(faces.classes)
    chosen = order[np.argsort(-np.minimum(counts[order], 4), kind="stable")][:people]
    albums = [[faces.read(row) for row in np.flatnonzero(faces.labels == k).tolist()] for k in chosen.tolist()]
    new, old = albums[::NEW_EVERY], [a for k, a in enumerate(albums) if k % NEW_EVERY]
    for name, group in (("base", old), ("all", old + new)):
        folder = target / name
        folder.mkdir(parents=True, exist_ok=True)
        writer = RecordWriter(folder)
        for album in group:
            writer.person(_shown(album))
        writer.close()
        _freeze(folder / "old.bin", old, OLD_PAIRS_PEOPLE)
        _freeze(folder / "new.bin", new, len(new))
        _thin(source / "lfw_dev.bin", folder / "lfw_dev.bin")
    done.write_text(json.dumps(sum(len(_shown(album)) for album in old)))
    return json.loads(done.read_text())


def _shown(album: list[bytes]) -> list[bytes]:
    return album[:-HELD_OUT] if len(album) >= 2 * HELD_OUT else album


def _freeze(path: Path, albums: list[list[bytes]], people: int) -> None:
    """Pairs of pictures that no run trains on: one of each person, and two of this person with another."""
    held = [album[-HELD_OUT:] for album in albums if len(album) >= 2 * HELD_OUT][:people]
    encoded, same = [], []
    for number, (first, second) in enumerate(held):
        encoded += [first, second]
        same.append(True)
        for step in range(1, IMPOSTORS + 1):
            encoded += [first, held[(number + step) % len(held)][1]]
            same.append(False)
    write_pairs(path, encoded, same)


def _thin(source: Path, target: Path) -> None:
    """Some of LFW's pairs, whose scoring would take longer than a night; PNG loses nothing."""
    pairs = read_pairs(source).thinned(LFW_PAIRS)
    crops = pairs.images.permute(0, 2, 3, 1).numpy()[..., ::-1]
    encoded = [cv2.imencode(".png", crop)[1].tobytes() for crop in crops]
    write_pairs(target, encoded, pairs.same.tolist())


def _options(runs: Path, way: str, seed: int, old_images: int, images: int) -> list[str]:
    part, more = WAYS[way]
    where = WHERE.get(way, "all")
    options = [
        *STUDENT,
        *(
            "objective=default_margin",
            f"data.root={runs}/data/{where}",
            f"signals={runs}/signals-{where}",
            f"seed={seed}",
        ),
    ]
    if way.startswith("on"):
        champion = runs / _name("champion", seed)
        options += [f"student.init={champion}", f"student.centres={champion}", "trainer=continue", "replay.night=1"]
        options += [f"replay.old_images={old_images}"]
    return [*options, *SHORT, f"trainer.images={round(part * images)}", "trainer.epochs=null", *more]


def _name(way: str, seed: int) -> str:
    """Name of a run's folder."""
    return f"{_stem(way)}-{seed}"


def _stem(way: str) -> str:
    return way.replace(", ", "_").replace(" ", "_")


def _store(options: list[str]) -> None:
    if main(["signals", *options]) != 0:
        sys.exit("the signals were not stored")


def _distil(runs: Path, name: str, options: list[str]) -> None:
    """One run, or its figures if it has finished before; its student need not pass any protocol (status 1)."""
    if main(["distill", *options, f"run.root={runs}", f"run.name={name}"]) not in (0, 1):
        sys.exit(f"{name} did not finish")


def _row(run: Path) -> dict[str, Any]:
    metrics = json.loads((run / "metrics.json").read_text())
    scores = metrics["sets"]["student"]
    lines = [json.loads(line)["values"] for line in (run / "series.jsonl").read_text().splitlines()]
    losses = [values["loss"] for values in lines if "loss" in values]
    return {
        **{f"auc/{name}": scores[name]["auc"] for name in SETS},
        **{f"auc_interval/{name}": scores[name]["intervals"]["auc"] for name in SETS},
        **{f"tpr_at_fpr_0.01/{name}": scores[name]["tpr_at_fpr"]["0.01"] for name in SETS},
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "images": metrics["images"],
        "image_steps": metrics["machine"]["image_steps"],
        "training_s": metrics["training_s"],
    }


def _write(arguments: argparse.Namespace, old_images: int, found: dict[str, dict[str, Any]]) -> None:
    words = [f"--{name}={getattr(arguments, name)}" for name in ("images", "people", "seeds")]
    content = {
        "command": " ".join(["benchmarks/continual.py DATA_ROOT", *words]),
        "machine": machine(),
        "old_images": old_images,
        "runs": found,
    }
    RESULT.write_text(json.dumps(content, indent=1) + "\n")


def table(found: dict[str, dict[str, Any]]) -> str:
    """Markdown: ROC AUC on the frozen pairs, the mean over seeds, and the difference to the champion."""
    lines = [
        "| way | samples seen | first loss | AUC old | lost or won | AUC new | lost or won | AUC LFW |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for way in WAYS:
        rows = _rows(found, way)
        if not rows:
            continue
        cells = [f"{rows[0]['image_steps']:,}", f"{statistics.mean(r['first_loss'] for r in rows):.2f}"]
        for name in SETS:
            auc, before = (statistics.mean(r[f"auc/{name}"] for r in _rows(found, w)) for w in (way, "champion"))
            cells.append(f"{auc:.4f}")
            if name != "lfw_dev":
                cells.append(f"{auc - before:+.4f}")
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _rows(found: dict[str, dict[str, Any]], way: str) -> list[dict[str, Any]]:
    return [row for name, row in found.items() if name.rpartition("-")[0] == _stem(way)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with labelled/, lfw_dev.bin, reference_teacher.onnx")
    parser.add_argument("--images", type=int, default=4_000, help="length of the champion's run in samples seen")
    parser.add_argument("--people", type=int, default=500, help="of whom one in five is new")
    parser.add_argument("--seeds", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(compare())
