"""A place with all that results are made of, and ways to change each of them: for tests of what is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml

from distill.config.compose import load
from distill.data import folder as folder_sets
from distill.data.pairs import write_pairs
from distill.runs.student import RunInputs, open_inputs
from reference.small_data import SMALL_STUDENT, picture
from reference.tiny_onnx import TinyOnnx

Change = Callable[[Path, pytest.MonkeyPatch], object]
PEOPLE, PICTURES, BYTES = 3, 2, 8000


def padded(person: int, number: int) -> bytes:
    """A picture in a file of ``BYTES``, so that another one in its place has the same size."""
    return picture(person, number).ljust(BYTES, b"\0")


def replace(path: Path, content: bytes) -> None:
    """Other content under the same name, with the same size where that is possible, and the same time."""
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=times)


def network(folder: Path, width: int = 6) -> Path:
    """The tiny network with its weights in a file beside the graph, as exporters write large ones."""
    folder.mkdir(parents=True, exist_ok=True)
    path = TinyOnnx(width=width).write(folder / "network.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="network.onnx.data", size_threshold=0)
    return path


def other_weights(folder: Path) -> None:
    """Another network whose graph is the same to the last byte."""
    graph, data = (folder / "network.onnx").read_bytes(), folder / "network.onnx.data"
    replace(data, (2 * np.frombuffer(data.read_bytes(), np.float32)).tobytes())
    assert (folder / "network.onnx").read_bytes() == graph


def put_card(folder: Path) -> None:
    """A card beside the network that says which preprocessing it expects."""
    preprocessing = {"order": "bgr", "mean": [0.0, 0.0, 0.0], "std": [255.0, 255.0, 255.0]}
    card = {"name": "network", "source": "-", "licence": "-", "preprocessing": preprocessing}
    (folder / "network.card.yaml").write_text(yaml.safe_dump(card))


def write_faces(folder: Path, first: int = 0) -> None:
    for person in range(PEOPLE):
        for number in range(PICTURES):
            path = folder / f"p{person}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(padded(first + person, number))


def pairs_file(path: Path, first: int = 50) -> None:
    rows = [(first + k % 4, first + (k % 4 if k % 2 else (k + 1) % 4), k) for k in range(20)]
    encoded = [image for a, b, k in rows for image in (padded(a, 2 * k), padded(b, 2 * k + 1))]
    write_pairs(path, encoded, [a == b for a, b, _ in rows])


def write_place(place: Path) -> None:
    """A network, a folder set, verification pairs and a list of the pictures, below ``place``."""
    network(place / "teacher")
    write_faces(place / "faces")
    pairs_file(place / "pairs.bin")
    names = [path.relative_to(place / "faces").as_posix() for path in sorted((place / "faces").rglob("*.jpg"))]
    (place / "list.txt").write_text("".join(f"{name}\n" for name in names))


def data_of(place: Path) -> list[str]:
    return ["data=folder", f"data.root={place / 'faces'}", f"data.pairs={place / 'pairs.bin'}"]


def teacher_of(place: Path) -> list[str]:
    return ["teacher=onnx", f"teacher.weights={place / 'teacher/network.onnx'}", "teacher.check=false"]


def another_rule(where: object) -> Change:
    return lambda place, patch: patch.setattr(where, "RULE", -1)


OF_THE_TEACHER: dict[str, Change] = {
    "weights beside the graph": lambda place, patch: other_weights(place / "teacher"),
    "the graph": lambda place, patch: network(place / "teacher", width=5),
    "the card beside it": lambda place, patch: put_card(place / "teacher"),
}
OF_THE_FACES: dict[str, Change] = {
    "a picture of the same size": lambda place, patch: replace(place / "faces/p1/1.jpg", padded(77, 0)),
    "a picture more": lambda place, patch: (place / "faces/p1/2.jpg").write_bytes(padded(1, 2)),
    "a picture's name": lambda place, patch: (place / "faces/p0/1.jpg").rename(place / "faces/p0/3.jpg"),
    "a picture's person": lambda place, patch: (place / "faces/p2/1.jpg").rename(place / "faces/p1/9.jpg"),
    "the decoding rule": another_rule(folder_sets),
}
OF_THE_PAIRS: dict[str, Change] = {
    "the pairs": lambda place, patch: pairs_file(place / "pairs.bin", first=60),
    "their verdicts": lambda place, patch: write_pairs(
        place / "pairs.bin", [padded(k, 0) for k in range(40)], [k % 2 == 0 for k in range(20)]
    ),
}


def assert_made_anew(
    make: Callable[[], object], changes: Mapping[str, Change], place: Path, patch: pytest.MonkeyPatch
) -> None:
    """``make`` gives the same twice, and something that it has not given before after each change."""
    known = [make()]
    for what, change in changes.items():
        assert make() == known[-1], what
        change(place, patch)
        made = make()
        assert made not in known, what
        known.append(made)


def first_weights(place: Path, value: float) -> None:
    """What a run before may have left: weights and class centres."""
    (place / "before").mkdir(exist_ok=True)
    for name in ("student.safetensors", "centres.safetensors"):
        (place / "before" / name).write_bytes(np.float32(value).tobytes())


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def run_options(place: Path) -> list[str]:
    return [
        *SMALL_STUDENT,
        *teacher_of(place),
        *data_of(place),
        f"run.root={place / 'runs'}",
        "trainer=smoke",
        "tracking=none",
    ]


def opened(place: Path, *more: str) -> RunInputs:
    return open_inputs(load("distill", [*run_options(place), *more]), place / "cache")
