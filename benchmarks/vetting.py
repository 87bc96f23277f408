"""Detection rates of label noise: wrong labels and split people found, and right labels doubted.

    .venv/bin/python benchmarks/vetting.py [DATA_ROOT] [--repeats 5] [--real-images 2000]

On 600 synthetic people as the shipped r152 sees them, five pictures each, and with DATA_ROOT (labelled/ and
reference_teacher.onnx) on real people too. Labels are exchanged at random and people are split under second names, in
a first night and in a later one, which knows three fifths of the pictures of two thirds of the people. Prints a table
and writes benchmarks/results/vetting.json: means over the repeats.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.numpy import load_file

from distill.config.service_jobs import VettingConf
from distill.data.decode import decode
from distill.data.recordio import RecordIOSet
from distill.files.atomic import write_atomic
from distill.metrics.embedding import embed_flip_sum
from distill.nightly.label_noise import ReferenceStats, doubtful_labels, no_reference, people_of, split_people
from distill.progress import waiting
from teachers.teacher import load_teacher

RESULTS = Path(__file__).parent / "results"
SHARES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.4)
SPLIT_SHARE = 0.05


class Seen(NamedTuple):
    """Unit embeddings [n d] of pictures, and whose they are [n]."""

    name: str
    embeddings: np.ndarray
    people: np.ndarray

    @property
    def classes(self) -> int:
        return int(self.people.max()) + 1


class Night(NamedTuple):
    """What is known, and the rows [k] of the new pictures."""

    name: str
    known: ReferenceStats
    new: np.ndarray


def main() -> int:
    arguments = _arguments()
    real = [_real(arguments.data_root, arguments.real_images)] if arguments.data_root else []
    sets = [_synthetic(), *real]
    rows = [row for seen in sets for night in _nights(seen) for row in _rows(seen, night, arguments.repeats)]
    for row in rows:
        print("  ".join(f"{value:>12.4g}" if isinstance(value, float) else f"{value!s:>12}" for value in row.values()))
    write_atomic(
        RESULTS / "vetting.json",
        (json.dumps({"limits": asdict(VettingConf()), "rows": rows}, indent=1) + "\n").encode(),
    )
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_root", nargs="?", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--real-images", type=int, default=2000)
    return parser.parse_args()


def _synthetic() -> Seen:
    folder = Path(str(resources.files("teachers") / "signals" / "r152-synthfaces"))
    views = np.concatenate([load_file(path)["embedding"] for path in sorted(folder.glob("shard-*"))])
    return Seen("synthetic", _unit(_unit(views.astype(np.float32)).sum(1)), np.repeat(np.arange(600), 5))


def _real(root: Path, most: int) -> Seen:
    """The first people with three pictures or more."""
    faces = RecordIOSet(root / "labelled")
    rows = np.flatnonzero(np.bincount(faces.labels)[faces.labels] >= 3)[:most]
    teacher = load_teacher("onnx", None, root / "reference_teacher.onnx")
    images = torch.from_numpy(np.stack([decode(faces.read(k)) for k in rows.tolist()])).permute(0, 3, 1, 2)
    with waiting("reference teacher", len(rows), "images") as progress:
        embeddings = embed_flip_sum(teacher, images, progress=progress)
    return Seen("real", embeddings, np.unique(faces.labels[rows], return_inverse=True)[1])


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def _nights(seen: Seen) -> Iterator[Night]:
    yield Night("first", no_reference(seen.classes, seen.embeddings.shape[1]), np.arange(len(seen.people)))
    rng = np.random.default_rng(0)
    turn = np.empty(len(seen.people))
    for person in range(seen.classes):
        mine = np.flatnonzero(seen.people == person)
        turn[mine] = rng.permutation(len(mine)) / len(mine)
    old = (seen.people < seen.classes * 2 // 3) & (turn < 0.6)
    sample = seen.embeddings[old]
    known = ReferenceStats(people_of(sample, seen.people[old], seen.classes), sample, seen.people[old])
    yield Night("later", known, np.flatnonzero(~old))


def _rows(seen: Seen, night: Night, repeats: int) -> Iterator[dict[str, object]]:
    """One row for each share of wrong labels, and one for split people."""
    common = {"set": seen.name, "night": night.name, "pictures": len(night.new)}
    for share in SHARES:
        found = np.mean([_wrong(seen, night, share, repeat) for repeat in range(repeats)], 0)
        yield {**common, "kind": "labels", "share": share, "found": float(found[0]), "doubted_wrongly": float(found[1])}
    found = np.mean([_split(seen, night, repeat) for repeat in range(repeats)], 0)
    yield {
        **common,
        "kind": "split",
        "share": SPLIT_SHARE,
        "found": float(found[0]),
        "doubted_wrongly": float(found[1]),
    }


def _wrong(seen: Seen, night: Night, share: float, seed: int) -> tuple[float, float]:
    """The share of wrong labels that is found, and of right ones that is doubted."""
    rng = np.random.default_rng(seed)
    labels = seen.people[night.new].copy()
    wrong = rng.choice(len(labels), round(share * len(labels)), False)
    labels[wrong] = (labels[wrong] + rng.integers(1, seen.classes, len(wrong))) % seen.classes
    doubts = {d.which for d in doubtful_labels(seen.embeddings[night.new], labels, night.known, VettingConf())}
    right = len(labels) - len(wrong)
    return len(doubts & set(wrong.tolist())) / max(1, len(wrong)), len(doubts - set(wrong.tolist())) / right


def _split(seen: Seen, night: Night, seed: int) -> tuple[float, float]:
    """The share of second names that is found, and of all other new people that are taken for another person."""
    rng = np.random.default_rng(seed)
    labels = seen.people[night.new].copy()
    known = night.known.people.counts
    able = [p for p in np.unique(labels).tolist() if known[p] or (labels == p).sum() > 1]
    names: dict[int, int] = {}
    for number, person in enumerate(rng.choice(able, round(SPLIT_SHARE * seen.classes), False).tolist()):
        mine = np.flatnonzero(labels == person)
        labels[mine if known[person] else mine[len(mine) // 2 :]] = seen.classes + number
        names[seen.classes + number] = person
    sample, people = night.known.sample, night.known.labels
    wide = ReferenceStats(people_of(sample, people, seen.classes + len(names)), sample, people)
    found = {d.which: d.other for d in split_people(seen.embeddings[night.new], labels, wide, VettingConf())}
    others = len(set(labels.tolist()) - set(names) - set(np.flatnonzero(known).tolist()))
    right = sum(found.get(name) == person for name, person in names.items())
    return right / len(names), len(found.keys() - names.keys()) / max(1, others)


if __name__ == "__main__":
    sys.exit(main())
