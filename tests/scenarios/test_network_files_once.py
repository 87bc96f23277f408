"""In every job the file of a network is read once: what parses it, hashes it or describes it shares that read.

Each network lies beside a card with its hash, so that every job has a reason to hash it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from distill.cli import main
from distill.config.build import build
from distill.config.compose import config_yaml, load
from distill.files.network_file import network_sha256
from distill.nightly.service import Outcome
from distill.runs import export
from distill.types import FaceNetwork, Preprocessing
from reference import ijb_layout
from reference.file_reads import counting
from reference.small_data import PEOPLE, SMALL_STUDENT, SMALL_TEACHER, picture, write_small_drop, write_small_root
from reference.tiny_onnx import TinyOnnx
from teachers.card import Card, write_card
from teachers.weights import save_weights

JUDGED = (
    *(f"judge.margin.{figure}=0.99" for figure in ("accuracy", "auc", "tpr_at_fpr")),
    "judge.min_score=0.01",
    "judge.resamples=200",
)
TRAINED = (
    *SMALL_STUDENT,
    "trainer=smoke",
    "tracking=none",
    "data.pictures=false",
    "teacher.check=false",
)
QUICK = "bootstrap=20"


@dataclass(frozen=True)
class Place:
    """The inputs of every job below one folder."""

    folder: Path

    @property
    def faces(self) -> Path:
        return self.folder / "faces"

    @property
    def images(self) -> Path:
        """Two pictures of each person, listed and labelled."""
        return self.folder / "images"

    @property
    def pairs(self) -> Path:
        return self.faces / "lfw_small.bin"

    @property
    def weights(self) -> Path:
        return self.folder / "weights" / "teacher.safetensors"

    @property
    def student(self) -> Path:
        """What a run has left when its training is done."""
        return self.folder / "student"

    def model(self, name: str) -> Path:
        return self.folder / name / f"{name}.onnx"

    @property
    def taught_by_onnx(self) -> list[str]:
        return ["teacher=onnx", f"teacher.weights={self.model('teacher')}"]

    @property
    def taught_by_weights(self) -> list[str]:
        return [*SMALL_TEACHER, f"teacher.weights={self.weights}"]

    @property
    def stored(self) -> list[str]:
        return [f"data.root={self.faces}", "workers=0", "teacher.check=false"]

    @property
    def run(self) -> list[str]:
        return [*TRAINED, f"data.root={self.faces}", f"run.root={self.folder / 'runs'}"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("place"))
    write_small_root(place.faces)
    write_small_drop(place.folder / "drops", "2026-01-01")
    ijb_layout.small().write(place.folder / "IJBC")
    _write_images(place.images)
    for number, name in enumerate(("teacher", "champion", "challenger", "model")):
        place.model(name).parent.mkdir()
        _with_card(TinyOnnx(width=6 + number).write(place.model(name)))
    torch.manual_seed(0)
    conf = load("distill", [*place.run, *place.taught_by_weights])
    _with_card(_saved(build(conf.teacher.network, "teacher.network"), place.weights))
    _saved(build(conf.student.network, "student.network"), place.student / "student.safetensors")
    (place.student / "config.yaml").write_text(config_yaml(conf))
    return place


def _write_images(folder: Path) -> None:
    (folder / "faces").mkdir(parents=True)
    names = [f"faces/{person}-{number}.jpg" for person in range(PEOPLE) for number in range(2)]
    for row, name in enumerate(names):
        (folder / name).write_bytes(picture(*divmod(row, 2)))
    (folder / "filelist.txt").write_text("".join(f"{name}\n" for name in names))
    (folder / "labels.txt").write_text("".join(f"{row // 2}\n" for row in range(len(names))))


def _saved(network: nn.Module, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    save_weights(network, path)
    return path


def _with_card(path: Path) -> None:
    card = Card(path.stem, "here", "ours", Preprocessing(), network_sha256(path))
    write_card(card, path.with_name(f"{path.name}.card.yaml"))


JOBS: Mapping[str, Callable[[Place], list[str]]] = {
    "check": lambda at: ["check", f"model={at.model('model')}"],
    "verify": lambda at: ["verify", f"model={at.model('model')}", f"pairs={at.pairs}", QUICK],
    "embed": lambda at: ["embed", f"model={at.model('model')}", f"list={at.images / 'filelist.txt'}", "out=rows.bin"],
    "evaluate": lambda at: ["evaluate", f"model={at.model('model')}", f"data.root={at.images}", QUICK],
    "ijb": lambda at: ["ijb", f"model={at.model('model')}", f"data.root={at.folder / 'IJBC'}", QUICK],
    "curves": lambda at: ["curves", f"models=[{at.model('model')}]", f"pairs=[{at.pairs}]", "out=c.html", QUICK],
    "judge": lambda at: [
        "judge",
        f"challenger={at.model('challenger')}",
        f"champion={at.model('champion')}",
        f"judge.anchor={at.model('model')}",
        f"pairs={at.pairs}",
        *JUDGED,
    ],
    "signals of an ONNX file": lambda at: ["signals", *at.taught_by_onnx, *at.stored],
    "signals of weights": lambda at: ["signals", *at.taught_by_weights, *at.stored],
    "distill from an ONNX file": lambda at: ["distill", *at.run, *at.taught_by_onnx, "signals=live"],
    "distill from weights": lambda at: ["distill", *at.run, *at.taught_by_weights, f"student.init={at.student}"],
    "export": lambda at: ["export", f"run={at.student}"],
    "teach": lambda at: [
        "teach",
        *SMALL_TEACHER,
        "teacher.weights=new/weights.safetensors",
        f"data.root={at.faces}",
        "trainer=smoke",
        "tracking=none",
    ],
    "nightly": lambda at: [
        "nightly",
        *(option for option in TRAINED if not option.startswith("data.pictures")),
        *at.taught_by_onnx,
        "trainer@continued=smoke",
        f"judge.anchor={at.model('champion')}",
        *JUDGED,
        f"drops={at.folder / 'drops'}",
        f"benchmarks={at.faces}",
        f"root={at.folder / 'service'}",
    ],
    "registry": lambda at: ["registry", f"root={at.folder / 'served'}"],
}

READ: Mapping[str, Mapping[str, int]] = {
    "judge": {"challenger/challenger.onnx": 1, "champion/champion.onnx": 1, "model/model.onnx": 1},
    "signals of an ONNX file": {"teacher/teacher.onnx": 1},
    "signals of weights": {"weights/teacher.safetensors": 1},
    "distill from an ONNX file": {"teacher/teacher.onnx": 1, "student.onnx": 1},
    "distill from weights": {"weights/teacher.safetensors": 1, "student/student.safetensors": 1, "student.onnx": 1},
    "export": {"student/student.onnx": 1},
    "teach": {"new/weights.safetensors": 1, "new/teacher.onnx": 1},
    "nightly": {
        "teacher/teacher.onnx": 1,
        "champion/champion.onnx": 1,
        # Once as a network; the others are checksums of all files, by the stage's record and by the registry, which
        # looks for them among its versions, copies them, and verifies the copy.
        "service/nights/0001/run/student.onnx": 1 + 1 + 2,
        "service/nights/0001/run/student.safetensors": 1 + 2,
        "service/registry/versions/v0001/student.onnx": 1,
        "service/registry/versions/v0001/student.safetensors": 1,
    },
    "registry": {
        "served/registry/versions/v0001/student.onnx": 1,
        "served/registry/versions/v0001/student.safetensors": 1,
    },
}
"""How often a job reads each network; ``model.onnx`` once where it is not listed."""


@pytest.fixture
def tiny_export(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """In place of the exporter, which takes seconds: a tiny file, and options that let it differ from the student."""

    def export_onnx(network: FaceNetwork, path: Path, metadata: Mapping[str, str], opset: int) -> None:
        TinyOnnx(width=network.embedding_dim, metadata=metadata).write(path)

    monkeypatch.setattr(export, "export_onnx", export_onnx)
    return ["export.max_relative_difference=1e9", "export.max_cosine_difference=2"]


TRAINS = ("teach", "distill", "nightly", "registry")


@pytest.mark.parametrize(
    "job", [pytest.param(job, marks=pytest.mark.slow) if job.split()[0] in TRAINS else job for job in JOBS]
)
def test_a_network_is_read_once(job: str, place: Place, monkeypatch: pytest.MonkeyPatch, tiny_export: list[str]):
    monkeypatch.chdir(place.folder)
    exports = tiny_export if job.split()[0] in ("distill", "export", "nightly", "teach") else []
    if job == "registry":  # a service of its own, whatever test has run before
        night = [*JOBS["nightly"](place), f"root={place.folder / 'served'}", *tiny_export]
        assert main(night) == Outcome.PROMOTED.status
    with counting() as found:
        status = main([*JOBS[job](place), *exports])
    assert status in ((Outcome.PROMOTED.status,) if job == "nightly" else (0, 1))
    assert networks_of(found, place.folder) == READ.get(job, {"model/model.onnx": 1})


def networks_of(found: Counter[Path], folder: Path) -> dict[str, int]:
    """Of the reads below a folder those of networks, by their places in it; a run folder's name does not matter."""
    names = {path: path.relative_to(folder) for path in found if path.is_relative_to(folder)}
    return {
        name.name if name.parts[0] == "runs" else name.as_posix(): found[path]
        for path, name in names.items()
        if name.suffix == ".onnx" or name.name in ("weights.safetensors", "teacher.safetensors", "student.safetensors")
    }
