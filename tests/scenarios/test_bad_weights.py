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
from reference.public_ir import PublicIR
from reference.public_weights import saved
from teachers.iresnet import IResNet
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


def other_network(path: Path, *more: str) -> list[str]:
    """A teacher of IR blocks, with the weights of another network."""
    return ["teacher=r18", "teacher.network.units=[1,1,1,1]", f"teacher.weights={path}", *more]


def test_a_teacher_s_weights_from_elsewhere_are_named(options: Options, refused: Refused, tmp_path: Path):
    path = saved(PublicIR("treb1en", [1, 1, 1, 1], se=True, embedding_dim=8), tmp_path / "x.pth")
    arguments = [word for word in options() if not word.startswith("teacher")]
    line = refused("distill", *arguments, *other_network(path))
    assert line.startswith(f"{path} does not fit this network: ")
    looks = "; it looks like FaceX-Zoo's IR-SE 1-1-1-1: use teacher=r50 teacher.network.units=[1,1,1,1] "
    assert f"{looks}teacher.layout=facexzoo" in line
    other = refused("distill", *arguments, *other_network(path, "teacher.layout=cavaface"))
    assert other.startswith(
        f"{path} looks like FaceX-Zoo's IR-SE 1-1-1-1, and teacher.layout=cavaface reads cavalleria"
    )
    assert not (tmp_path / "runs").exists()


def test_a_student_s_weights_as_a_teacher_are_named(options: Options, refused: Refused, weights: Path):
    arguments = [word for word in options() if not word.startswith("teacher")]
    line = refused("distill", *arguments, *other_network(weights))
    assert (
        "; it looks like a student, mobilefacenet_512: use student=mobilefacenet_512 student.init=FILE, or its" in line
    )


def test_a_lightning_checkpoint_of_another_network_is_named(options: Options, refused: Refused, tmp_path: Path):
    def lightning(state: dict) -> dict:
        weights = {f"model.{name}": value for name, value in state.items()}
        return {"epoch": 1, "pytorch-lightning_version": "2.0", "state_dict": weights, "loops": {}}

    path = saved(PublicIR("adaface", [1, 1, 1, 1], embedding_dim=8), tmp_path / "x.ckpt", lightning)
    arguments = [word for word in options() if not word.startswith("teacher")]
    assert "it looks like AdaFace's IR 1-1-1-1: use" in refused("distill", *arguments, *other_network(path))


def test_a_teacher_s_weights_as_a_student_are_named(options: Options, refused: Refused, tmp_path: Path):
    path = saved(IResNet([1, 1, 1, 1], embedding_dim=8), tmp_path / "x.pth")
    line = refused("distill", *options(f"student.init={path}"))
    assert "does not fit this network: " in line
    assert "; it looks like InsightFace's (arcface_torch) IR 1-1-1-1: use teacher=r50 " in line


def test_a_network_of_another_family_grows_into_none(teach: Options, refused: Refused, tmp_path: Path):
    path = saved(PublicIR("cavaface", [1, 1, 1, 1], embedding_dim=8), tmp_path / "x.pth")
    network = ["teacher=r18", "teacher.network.units=[1,1,1,1]", "teacher.network.embedding_dim=8"]
    arguments = [word for word in teach() if "teacher=" not in word and "teacher.network" not in word]
    line = refused(*arguments, *network, f"init={path}")
    assert "; it looks like cavaface's IR 1-1-1-1: use teacher=r50 " in line
    assert "are surplus (input_layer.0.weight, " in line


def test_a_layout_has_no_place_where_weights_are_written(teach: Options, refused: Refused):
    network = [word for word in teach() if "teacher=" not in word and "teacher.network" not in word]
    line = refused(*network, "teacher=r18", "teacher.layout=adaface")
    assert line.startswith(
        "teacher.layout is adaface, which is for weights that are read, and a teacher that is trained"
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["teacher=r18", "teacher.layout=facexzzo"], "did you mean 'facexzoo'?"),
        (["teacher=polyface", "teacher.layout=adaface"], "no weights of PolyFace; expected trojans or null"),
        (["teacher=onnx", "teacher.layout=adaface"], "teacher onnx has no network to load weights into; expected null"),
        (["teacher=none", "teacher.layout=adaface"], "teacher none has no network to load weights into; expected null"),
    ],
)
def test_a_layout_that_does_not_suit(arguments: list[str], expected: str, options: Options, refused: Refused):
    rest = [word for word in options() if word != "teacher=onnx"]
    objective = ["objective=margin"] if "teacher=none" in arguments else []
    assert expected in refused("distill", *rest, *objective, *arguments)


def test_a_layout_that_does_not_suit_stops_signals_before_the_data(refused: Refused):
    line = refused("signals", "teacher=polyface", "teacher.layout=adaface", "data.root=/nowhere")
    assert line == "teacher.layout is adaface, which has no weights of PolyFace; expected trojans or null"


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
