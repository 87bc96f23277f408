"""Students with a quality, through the main job: taught beside a frozen recogniser, exported, judged; and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from safetensors.torch import load_file

from distill.cli import main
from distill.export.parity import random_images
from distill.students.vargnet import VarGNet
from teachers.onnx_network import OnnxNetwork
from teachers.weights import save_weights

Options = Callable[..., list[str]]
SMALL = {"widths": [8, 8, 8, 8], "units": [1, 1, 1], "last_channels": 16}


@pytest.fixture
def recogniser(tmp_path: Path) -> Path:
    """Weights of a plain student."""
    path = tmp_path / "plain.safetensors"
    save_weights(VarGNet(**SMALL), path)
    return path


@pytest.fixture
def quality(options: Options) -> Callable[..., list[str]]:
    """Overrides for a student with a quality around the small network."""

    def make(student: str, *more: str) -> list[str]:
        plain = [option for option in options() if not option.startswith("student.network")]
        small = [f"student.network.recogniser.{k}={v}".replace(" ", "") for k, v in SMALL.items()]
        return [*plain, "experiment=quality", f"student={student}", *small, *more]

    return make


def run(onnx: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"images": random_images(8).numpy()})[0])


@pytest.mark.slow
def test_a_head_learns_beside_a_frozen_recogniser(quality: Options, recogniser: Path, tmp_path: Path):
    more = [f"student.init={recogniser}", "student.network.learning=frozen", "objective=quality_alone"]
    assert main(["distill", *quality("vargnet_quality", *more)]) == 0
    folder = (tmp_path / "runs" / "latest").resolve()
    before, after = load_file(recogniser), load_file(folder / "student.safetensors")
    assert all(torch.equal(after[f"recogniser.{name}"], value) for name, value in before.items())
    assert after["quality.last.weight"].abs().sum() > 0
    lengths = np.linalg.norm(run(folder / "student.onnx"), axis=1)
    assert lengths.std() > 0
    assert json.loads((folder / "metrics.json").read_text())["check"]["embedding_dim"] == 512
    again = quality("vargnet_quality", *more, f"student.init={folder}", "run.name=again")
    assert main(["distill", *again]) == 0
    assert not (folder / "frame_quality.onnx").exists()
    assert OnnxNetwork(folder / "student.onnx").says_concentration


@pytest.mark.slow
def test_a_student_is_the_teacher_of_its_own_head(quality: Options, recogniser: Path, tmp_path: Path):
    """experiment=quality_head needs nothing but a finished run, and teaches from that run's own file."""
    more = [f"student.init={recogniser}", "student.network.learning=frozen", "run.name=first"]
    assert main(["distill", *quality("vargnet_quality", *more)]) == 0
    first = tmp_path / "runs" / "first"
    given = [o for o in quality("vargnet_quality") if not o.startswith(("teacher", "experiment"))]
    given += ["experiment=quality_head", f"student.init={first}", "run.name=head", "teacher.check=false"]
    assert main(["distill", *given, "trainer.images=256"]) == 0
    conf = yaml.safe_load((tmp_path / "runs" / "head" / "config.yaml").read_text())
    assert conf["teacher"]["weights"] == f"{first}/student.onnx"
    assert conf["objective"]["terms"]["quality"]["loss"]["target"] == "centre"
    before, after = (load_file(tmp_path / "runs" / name / "student.safetensors") for name in ("first", "head"))
    assert all(torch.equal(after[k], v) for k, v in before.items() if k.startswith("recogniser."))
    assert not torch.equal(after["quality.last.weight"], before["quality.last.weight"])


@pytest.mark.slow
def test_a_separate_network_is_written_as_a_file(quality: Options, recogniser: Path, tmp_path: Path):
    more = [f"student.init={recogniser}", "objective=quality_alone", "run.name=beside"]
    assert main(["distill", *quality("vargnet_frame_quality", *more)]) == 0
    folder = tmp_path / "runs" / "beside"
    weights, embeddings = run(folder / "frame_quality.onnx"), run(folder / "student.onnx")
    assert weights.shape == (8, 1)
    assert OnnxNetwork(folder / "frame_quality.onnx", width=1).says_concentration
    np.testing.assert_allclose(512 * weights[:, 0], np.linalg.norm(embeddings, axis=1), rtol=1e-4)


def test_a_recogniser_that_learned_nothing_is_not_frozen(quality: Options, refused: Callable[..., str]):
    assert "student.init=RUN" in refused("distill", *quality("vargnet_frame_quality", "objective=quality_alone"))


def test_other_weights_are_refused(quality: Options, refused: Callable[..., str], tmp_path: Path):
    other = tmp_path / "other.safetensors"
    save_weights(torch.nn.Linear(2, 2), other)
    line = refused("distill", *quality("vargnet_quality", f"student.init={other}"))
    assert line.startswith(f"{other} does not fit this network")
