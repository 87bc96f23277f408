"""What an exported student is compared on, and how far it may be off unless somebody says otherwise."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from distill.config.groups import ExportConf
from distill.data.pairs import Pairs, read_pairs
from distill.errors import UserError
from distill.export.parity import Parity, random_images
from distill.jobs import export
from distill.nightly.stages import student as night_student
from distill.runs import export as onnx_student
from distill.runs import finish as delivery
from distill.runs.export import compare_network, parity_images
from distill.students.frame_quality import CropQuality
from distill.students.mobilefacenet import MobileFaceNet
from distill.students.quality import WithQuality
from distill.types import Preprocessing


@pytest.fixture
def pairs(root: Path) -> Pairs:
    return read_pairs(root / "lfw_small.bin")


def _found(relative: float, cosine: float) -> Parity:
    return Parity(max_abs=relative, max_relative=relative, max_cosine=cosine, images=32, batches=(1, 2, 7))


@pytest.mark.parametrize(
    ("relative", "cosine", "refused"),
    [(1e-4, 1e-5, False), (1.1e-4, 0.0, True), (0.0, 1.1e-5, True), (float("nan"), 0.0, True)],
)
def test_a_student_may_differ_by_a_ten_thousandth_and_a_cosine_of_a_hundred_thousandth(
    monkeypatch: pytest.MonkeyPatch, relative: float, cosine: float, refused: bool
):
    """The limits that hold where nothing is configured, in a run, of a night, and of a frame quality."""
    found = _found(relative, cosine)
    assert bool(night_student._beyond(found, ExportConf())) == refused
    monkeypatch.setattr(onnx_student, "parity", lambda *_: found)
    monkeypatch.setattr(onnx_student, "export_onnx", lambda *_: None)
    student = WithQuality(MobileFaceNet(blocks=[1, 1, 1, 1], embedding_dim=8), CropQuality())
    for compare in (
        lambda: compare_network(student, Path("x"), ExportConf(), torch.zeros(1)),
        lambda: onnx_student.export_frame_quality(student, Path("x"), "run", ExportConf(), torch.zeros(1)),
    ):
        if refused:
            with pytest.raises(UserError, match=r"limit 0\.0001.*limit 1e-05"):
                compare()
        else:
            compare()


@pytest.mark.parametrize(("asked", "count"), [(16, 16), (3, 7)])
def test_parity_is_shown_real_crops_and_as_much_noise(pairs: Pairs, asked: int, count: int):
    images = parity_images(pairs, asked)
    rows = [k * 47 // (count - 1) for k in range(count)]  # over the whole set: its first and its last too
    assert (rows[0], rows[-1], len(pairs.images)) == (0, 47, 48)
    assert torch.equal(images[:count], Preprocessing()(pairs.images[rows]))
    assert torch.equal(images[count:], random_images(count))


class Seen(Exception):
    """Ends a job at its comparison; holds the images that it was to be made with."""


def _watched(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(network: object, path: Path, images: Tensor, *_: object) -> Parity:
        raise Seen(images)

    for module in (onnx_student, night_student):
        monkeypatch.setattr(module, "parity", look)
    monkeypatch.setattr(onnx_student, "export_onnx", lambda *_: None)


@pytest.mark.parametrize("job", ["distill", "export", "night"])
def test_every_job_compares_on_crops_of_its_first_set(
    pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: str
):
    _watched(monkeypatch)
    student = MobileFaceNet(blocks=[1, 1, 1, 1], embedding_dim=8).eval()
    conf: Any = SimpleNamespace(export=ExportConf(parity_images=8), student=None, data=None, out=None, run=tmp_path)
    (tmp_path / "student.safetensors").touch()
    for module in (export, night_student):
        monkeypatch.setattr(module, "trained_student", lambda *_: student)
        monkeypatch.setattr(module, "verification_pairs", lambda _: [pairs, None])
    monkeypatch.setattr(export, "read_config", lambda *_: conf)
    monkeypatch.setattr(night_student, "data_conf", lambda _: None)
    folder = SimpleNamespace(file=lambda name: tmp_path / name, path=tmp_path)
    run: Any = SimpleNamespace(folder=folder, conf=conf, pairs=[pairs, None])
    task: Any = SimpleNamespace(conf=conf, night=None)
    monkeypatch.setattr(night_student, "run_folder", lambda _: folder)
    calls = {
        "distill": lambda: delivery.finish_run(run, student),
        "export": lambda: export.run(conf),
        "night": lambda: night_student.parity_stage(task),
    }
    with pytest.raises(Seen) as seen:
        calls[job]()
    assert torch.equal(seen.value.args[0], parity_images(pairs, 8))
