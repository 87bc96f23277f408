"""In every job a network's file is read once: what parses it, hashes it or describes it shares that read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from distill.cli import main
from distill.config.build import build
from distill.config.compose import config_yaml, load
from distill.files.network_file import network_sha256
from distill.types import Preprocessing
from reference import ijb_layout
from reference.file_reads import counting
from reference.small_data import PEOPLE, SMALL_STUDENT, SMALL_TEACHER, picture, write_small_drop, write_small_root
from reference.tiny_onnx import TinyOnnx
from teachers.card import Card, write_card
from teachers.weights import save_weights

ANY = (0, 1)
"""Statuses of a job that judges: the file may keep the limits or not."""


@dataclass(frozen=True)
class Place:
    """A folder with the inputs of every job; each network has a card that names its hash."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "faces"

    @property
    def pairs(self) -> str:
        return f"pairs={self.root / 'lfw_small.bin'}"

    def model(self, name: str) -> Path:
        return self.folder / name / f"{name}.onnx"

    def listed(self) -> Path:
        return self.folder / "images"

    def teacher(self, kind: str) -> list[str]:
        weights = self.folder / "taught" / "weights.safetensors"
        return (
            ["teacher=onnx", f"teacher.weights={self.model('teacher')}"]
            if kind == "onnx"
            else [*SMALL_TEACHER, f"teacher.weights={weights}"]
        )

    def trained(self, kind: str) -> list[str]:
        return [
            *SMALL_STUDENT,
            *self.teacher(kind),
            f"data.root={self.root}",
            f"run.root={self.folder / 'runs'}",
            "trainer=smoke",
            "tracking=none",
        ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """All inputs; the weights of a small teacher and of a finished student are drawn at random."""
    place = Place(tmp_path_factory.mktemp("place"))
    write_small_root(place.root)
    for number, name in enumerate(("teacher", "champion", "challenger", "model")):
        place.model(name).parent.mkdir()
        _carded(TinyOnnx(width=6 + number).write(place.model(name)))
    TinyOnnx(width=1).write(place.folder / "quality.onnx")
    for person in range(PEOPLE):
        for number in range(2):
            path = place.listed() / "faces" / f"{person}-{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture(person, number))
    names = [f"faces/{person}-{number}.jpg\n" for person in range(PEOPLE) for number in range(2)]
    (place.listed() / "filelist.txt").write_text("".join(names))
    (place.listed() / "labels.txt").write_text("".join(f"{n // 2}\n" for n in range(2 * PEOPLE)))
    ijb_layout.small().write(place.folder / "IJBC")
    write_small_drop(place.folder / "drops", "2026-01-01")
    torch.manual_seed(0)
    conf = load("distill", place.trained("safetensors"))
    _carded(_saved(build(conf.teacher.network, "teacher.network"), Path(conf.teacher.weights)))
    run = place.folder / "student"
    _saved(build(conf.student.network, "student.network"), run / "student.safetensors")
    (run / "config.yaml").write_text(config_yaml(conf))
    return place


def _saved(network: nn.Module, path: Path) -> Path:
    save_weights(network, path)
    return path


def _carded(path: Path) -> Path:
    write_card(
        Card(path.stem, "here", "ours", Preprocessing(), network_sha256(path)), path.with_name(f"{path.name}.card.yaml")
    )
    return path


JUDGED = (
    *(f"judge.margin.{figure}=0.99" for figure in ("accuracy", "auc", "tpr_at_fpr")),
    "judge.floor=0.01",
    "judge.resamples=200",
)

JOBS: dict[str, Callable[[Place], list[str]]] = {
    "check": lambda at: ["check", f"model={at.model('model')}", f"out={at.folder / 'check'}"],
    "verify": lambda at: ["verify", f"model={at.model('model')}", at.pairs, "bootstrap=20"],
    "embed": lambda at: [
        "embed",
        f"model={at.model('model')}",
        f"list={at.listed() / 'filelist.txt'}",
        f"out={at.folder / 'embedded.bin'}",
    ],
    "evaluate": lambda at: [
        "evaluate",
        f"model={at.model('model')}",
        f"data.root={at.listed()}",
        "protocol=deepglint_light",
        "bootstrap=20",
    ],
    "ijb": lambda at: ["ijb", f"model={at.model('model')}", f"data.root={at.folder / 'IJBC'}", "bootstrap=20"],
    "curves": lambda at: [
        "curves",
        f"models=[{at.model('champion')},{at.model('challenger')}]",
        at.pairs.replace("pairs=", "pairs=[") + "]",
        f"out={at.folder / 'curves.html'}",
        "bootstrap=20",
    ],
    "judge": lambda at: [
        "judge",
        f"champion={at.model('champion')}",
        f"challenger={at.model('challenger')}",
        f"judge.anchor={at.model('model')}",
        at.pairs,
        *JUDGED,
        f"out={at.folder / 'judge'}",
    ],
    "signals onnx": lambda at: [
        "signals",
        *at.teacher("onnx"),
        f"data.root={at.root}",
        "workers=0",
        "teacher.check=false",
    ],
    "signals safetensors": lambda at: [
        "signals",
        *at.teacher("safetensors"),
        f"data.root={at.root}",
        "workers=0",
        "teacher.check=false",
    ],
    "distill onnx": lambda at: ["distill", *at.trained("onnx"), "signals=live", "teacher.check=false"],
    "distill safetensors": lambda at: ["distill", *at.trained("safetensors"), "signals=live", "teacher.check=false"],
    "distill init": lambda at: [
        "distill",
        *at.trained("onnx"),
        "teacher=none",
        f"student.init={at.folder / 'student'}",
        "objective=margin",
    ],
    "export": lambda at: ["export", f"run={at.folder / 'student'}"],
    "teach": lambda at: [
        "teach",
        *SMALL_TEACHER,
        f"teacher.weights={at.folder / 'new' / 'weights.safetensors'}",
        f"data.root={at.root}",
        f"run.root={at.folder / 'runs'}",
        "run.name=taught",
        "trainer=smoke",
        "tracking=none",
    ],
    "nightly onnx": lambda at: _night(at, "onnx"),
    "nightly safetensors": lambda at: _night(at, "safetensors"),
    "registry": lambda at: ["registry", f"root={at.folder / 'night-onnx'}"],
}


def _night(at: Place, kind: str) -> list[str]:
    return [
        "nightly",
        *SMALL_STUDENT,
        *at.teacher(kind),
        "trainer=smoke",
        "trainer@continued=smoke",
        "tracking=none",
        "teacher.check=false",
        f"judge.anchor={at.model('champion')}",
        *JUDGED,
        f"drops={at.folder / 'drops'}",
        f"benchmarks={at.root}",
        f"root={at.folder / f'night-{kind}'}",
    ]


@pytest.mark.parametrize("job", JOBS)
def test_measure(job: str, place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(place.folder)
    with counting() as found:
        status = main(JOBS[job](place))
    print("STATUS", job, status)
    for path in sorted({*found.reads, *found.sessions}):
        if path.suffix in (".onnx", ".safetensors") and path.is_relative_to(place.folder):
            print(
                "COUNT",
                job,
                "|",
                path.relative_to(place.folder),
                "reads",
                found.reads[path],
                "sessions",
                found.sessions[path],
            )
            if os.environ.get("WHERE"):
                for line in found.where.get(path, []):
                    print("     ", line)
