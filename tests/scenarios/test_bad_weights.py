"""Teachers and starting weights that cannot be used, through the command line: one line, status 2."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from distill.students.mobilefacenet import MobileFaceNet
from teachers.weights import save_weights

Options = Callable[..., list[str]]
Refused = Callable[..., str]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of the small teacher's network; 512 wide, as the card says."""
    path = tmp_path_factory.mktemp("weights") / "good.safetensors"
    save_weights(MobileFaceNet([1, 1, 1, 1], 512), path)
    return path


@pytest.fixture
def told(teach: Options, options: Options, refused: Refused, tmp_path: Path) -> Callable[..., str]:
    """The line about a file of teacher's weights; such a run leaves nothing behind."""

    def run(path: Path, *more: str) -> str:
        network = [word for word in teach() if "teacher.network" in word]
        arguments = [word for word in options() if word != "teacher=onnx"]
        wide = "teacher.network.embedding_dim=512"
        line = refused("distill", "teacher=r50", *network, wide, *arguments, f"teacher.weights={path}", *more)
        assert not (tmp_path / "runs").exists()
        return line

    return run


def test_missing_weights(told: Refused, tmp_path: Path):
    line = told(tmp_path / "nowhere.safetensors")
    assert f"teacher r50 has no weights at {tmp_path / 'nowhere.safetensors'}: train it with `make teacher" in line


def test_missing_and_surplus_keys(told: Refused, weights: Path, tmp_path: Path):
    tensors = load_file(weights)
    tensors["surplus.weight"] = tensors.pop("head.0.weight")
    save_file(tensors, tmp_path / "keys.safetensors")
    line = told(tmp_path / "keys.safetensors")
    assert "1 keys are missing (head.0.weight), 1 are surplus (surplus.weight)" in line


def test_another_width(told: Refused, weights: Path):
    line = told(weights, "teacher.network.embedding_dim=256")
    assert line == f"{weights} gives embeddings of width 512; the network is built for 256"


def test_nan(told: Refused, weights: Path, tmp_path: Path):
    tensors = load_file(weights)
    tensors["head.0.weight"].view(-1)[0] = torch.nan
    save_file(tensors, tmp_path / "nan.safetensors")
    assert told(tmp_path / "nan.safetensors").endswith("has NaN or infinite values in 1 tensors: head.0.weight")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_cut_short(suffix: str, told: Refused, weights: Path, tmp_path: Path):
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    if suffix == ".pth":
        torch.save(load_file(weights), whole)
    else:
        whole.write_bytes(weights.read_bytes())
    cut.write_bytes(whole.read_bytes()[:-2000])
    line = told(cut)
    assert line.startswith(f"{cut} is not a")
    assert "PyTorch checkpoint" in line or "complete safetensors file" in line


def test_a_torchscript_program_is_named_without_a_word_of_torch(told: Refused, tmp_path: Path):
    path = tmp_path / "x.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(path))  # pyright: ignore
    line = told(path)
    assert line.startswith(f"{path} is not a PyTorch checkpoint of plain tensors or a safetensors file, but a TorchScr")
    assert f"torch.save(torch.jit.load({str(path)!r}).state_dict(), 'weights.pth') writes its weights" in line
    assert "weights_only" not in line


def test_weights_that_ddp_left_in_safetensors_are_read(told: Refused, weights: Path, tmp_path: Path):
    tensors = {f"module.{key}": value for key, value in load_file(weights).items()}
    tensors["module.head.0.weight"].view(-1)[0] = torch.nan
    save_file(tensors, tmp_path / "x.safetensors")
    line = told(tmp_path / "x.safetensors")
    assert line.endswith("has NaN or infinite values in 1 tensors: head.0.weight"), "it went as far as the values"


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.victim),)


def test_a_checkpoint_that_tries_to_run_code(told: Refused, tmp_path: Path):
    path = tmp_path / "backbone.pth"
    torch.save({"state_dict": Malicious(tmp_path / "victim")}, path)
    assert told(path).startswith(f"{path} was refused: loading it would run posix.mkdir")
    assert not (tmp_path / "victim").exists()


CARD = "name: x\nsource: y\nlicence: z\n{more}\npreprocessing: {{order: rgb, mean: [0, 0, 0], std: [1, 1, 1]}}\n"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (f"sha256: {'a' * 64}", "has another hash than its card says"),
        ("embedding_dim: 256", "gives embeddings of width 6; its card says 256"),
        ("licens: mine", "licens"),
    ],
)
def test_another_card(more: str, expected: str, options: Options, refused: Refused, teacher: Path, tmp_path: Path):
    card = tmp_path / "other.yaml"
    card.write_text(CARD.format(more=more))
    line = refused("distill", *options(f"teacher.card={card}"))
    assert expected in line
    assert str(teacher) in line or str(card) in line


def test_onnx_teacher_that_is_missing_or_cut_short(options: Options, refused: Refused, teacher: Path, tmp_path: Path):
    path = tmp_path / "teacher.onnx"
    missing = refused("distill", *options(f"teacher.weights={path}"))
    assert f"its file {path} does not exist: name one with teacher.weights=FILE.onnx" in missing
    path.write_bytes(teacher.read_bytes()[:300])
    line = refused("distill", *options(f"teacher.weights={path}"))
    assert line == f"{path} is not an ONNX file, or is cut short"


def test_unknown_protocol_names_the_nearest(options: Options, refused: Refused):
    line = refused("distill", *options("protocol=deepglint_ligth"))
    assert line == "there is no protocol 'deepglint_ligth'; did you mean 'deepglint_light'?"


def test_a_mapping_that_cannot_be_overridden_is_one_line(options: Options, refused: Refused):
    assert "teacher.network" in refused("distill", *options("teacher.network={units: 1}"))


@pytest.mark.slow
def test_student_init(options: Options, refused: Refused, weights: Path, tmp_path: Path):
    def told(init: Path) -> str:
        return refused("distill", *options(f"student.init={init}"))

    assert told(tmp_path / "nowhere").startswith(f"student.init is {tmp_path / 'nowhere'}, which does not exist")
    (tmp_path / "run").mkdir()
    assert "holds no student.safetensors: that run has not finished" in told(tmp_path / "run")
    (tmp_path / "run" / "student.safetensors").write_bytes(weights.read_bytes()[:1000])
    assert "student.safetensors is not a complete safetensors file" in told(tmp_path / "run")
    assert "does not fit this network" in told(weights)
