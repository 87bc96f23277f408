from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from distill.errors import UserError
from distill.files.hashing import sha256
from reference.tiny_network import TinyNetwork
from reference.tiny_onnx import TinyOnnx
from teachers.iresnet import IResNet
from teachers.layouts.layout import Names
from teachers.weights import CLASSIFIER, WeightFile, load_into, read_weights, save_weights


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + k: v for k, v in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"state_dict_backbone": s, "state_dict_softmax_fc": {"weight": torch.ones(2, 2)}, "epoch": 3},
        lambda s: prefixed(s, "module."),
        lambda s: {"state_dict": prefixed(s, "backbone.")},
        lambda s: prefixed(s, "backbone.module."),
        lambda s: prefixed(s, "module.backbone."),
        lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
        lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()},
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_layouts_that_people_have(tmp_path: Path, wrap: Callable[[dict], dict], suffix: str) -> None:
    source, target = TinyNetwork(), TinyNetwork()
    path = tmp_path / f"backbone{suffix}"
    torch.save(wrap(source.state_dict()), path)
    load_into(target, read_weights(path))
    for key, value in source.state_dict().items():
        torch.testing.assert_close(target.state_dict()[key], value, rtol=1e-3, atol=1e-3)


def test_arcface_torch_checkpoint_gives_the_same_embeddings(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, target = (IResNet([1, 1, 1, 1], embedding_dim=8).eval() for _ in range(2))
    torch.save(source.state_dict(), tmp_path / "backbone.pth")
    load_into(target, read_weights(tmp_path / "backbone.pth"))
    x = torch.randn(2, 3, 112, 112)
    assert torch.equal(source(x), target(x))


def test_own_safetensors_round_trip(tmp_path: Path) -> None:
    source, target, centres = TinyNetwork(), TinyNetwork(), torch.randn(5, 8)
    path = tmp_path / "deep" / "weights.safetensors"
    save_weights(source, path, {"data_fingerprint": "abc"}, centres)
    found = read_weights(path)
    assert found.metadata == {"data_fingerprint": "abc"}
    assert torch.equal(found.tensors.pop(CLASSIFIER), centres)
    load_into(target, found)
    assert all(torch.equal(v, target.state_dict()[k]) for k, v in source.state_dict().items())
    assert [p.name for p in path.parent.iterdir()] == ["weights.safetensors"]


def test_channels_last_weights_are_saved_as_they_are(tmp_path: Path) -> None:
    source = TinyNetwork().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    save_weights(source, tmp_path / "w.safetensors")
    assert torch.equal(read_weights(tmp_path / "w.safetensors").tensors["conv.weight"], source.conv.weight)


def test_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(TinyNetwork(), path)
    before = sha256(path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"cannot write .*w\.safetensors.*No space left"):
        save_weights(TinyNetwork(), path)
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]
    assert sha256(path) == before


class Payload:
    """What a hostile checkpoint holds: unpickling it would call the function."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, 2))])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, write: Callable[[Any, Path], Any]) -> None:
    path, marker = tmp_path / "backbone.pth", tmp_path / "ran"
    write({"conv.weight": Payload(marker)}, path)
    with pytest.raises(UserError, match=r"backbone\.pth was refused: loading it would run \w+\.mkdir"):
        read_weights(path)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"\x80", b"hello, world", b"PK\x03\x04rubbish", bytes(range(256)) * 20])
def test_rubbish_is_named_as_such(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name} is not a .*(checkpoint|safetensors)") as caught:
        read_weights(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated_files_are_named_as_such(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    state = TinyNetwork().state_dict()
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(UserError, match=rf"{name} is not a"):
        read_weights(path)


def test_missing_file_and_onnx_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.pth does not exist"):
        read_weights(tmp_path / "none.pth")
    TinyOnnx().write(tmp_path / "net.onnx")
    with pytest.raises(UserError, match=r"teacher=onnx teacher\.weights="):
        read_weights(tmp_path / "net.onnx")


@pytest.mark.parametrize("content", [torch.ones(2), {}, [1, 2], {"state_dict": {"a": 3}}, {"epoch": 1}])
def test_other_contents_are_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth holds .*expected a state dict"):
        read_weights(tmp_path / "w.pth")


def broken(**changes: Tensor | None) -> WeightFile:
    state = TinyNetwork().state_dict()
    for key, value in changes.items():
        name = key.replace("__", ".")
        if value is None:
            del state[name]
        else:
            state[name] = value
    return WeightFile(Path("w.pth"), state)


def test_missing_and_surplus_keys_are_named_and_counted() -> None:
    extra = {f"head__{i}": torch.ones(1) for i in range(5)}
    with pytest.raises(UserError) as caught:
        load_into(TinyNetwork(), broken(conv__weight=None, fc__bias=None, **extra))
    assert str(caught.value) == (
        "w.pth does not fit this network: 2 keys are missing (conv.weight, fc.bias), "
        "5 are surplus (head.0, head.1, head.2 and 2 more)"
    )


def test_another_shape_is_named() -> None:
    with pytest.raises(UserError) as caught:
        load_into(TinyNetwork(), broken(conv__weight=torch.ones(4, 3, 5, 5)))
    assert str(caught.value) == (
        "w.pth does not fit this network: 0 keys are missing (none), 0 are surplus (none), "
        "1 have another shape (conv.weight [4, 3, 5, 5] for [4, 3, 3, 3])"
    )


def test_all_faults_stand_in_one_line() -> None:
    shapes = {"conv__weight": torch.ones(1), "bn__weight": torch.ones(1), "bn__bias": torch.ones(2)}
    with pytest.raises(UserError) as caught:
        load_into(TinyNetwork(), broken(**shapes, bn__running_mean=torch.ones(3), fc__bias=None, head=torch.ones(1)))
    assert str(caught.value) == (
        "w.pth does not fit this network: 1 keys are missing (fc.bias), 1 are surplus (head), 4 have another shape "
        "(conv.weight [1] for [4, 3, 3, 3], bn.weight [1] for [4], bn.bias [2] for [4] and 1 more)"
    )


def test_weights_that_are_fresh_are_not_looked_for_and_stay() -> None:
    network, source = TinyNetwork(), broken(fc__bias=None)
    before = network.fc.bias.clone()
    load_into(network, source, fresh=["fc.bias"])
    assert torch.equal(network.fc.bias, before)
    assert torch.equal(network.conv.weight, source.tensors["conv.weight"])


def test_names_of_the_file_are_those_that_a_layout_gives() -> None:
    network, source = TinyNetwork(), TinyNetwork().state_dict()
    names = Names({"conv": "a.0", "bn": "a.1", "fc": "b"}, frozenset({"fc.bias"}), re.compile(r"^a\.9\."))
    file = {name.replace("conv", "a.0").replace("bn", "a.1").replace("fc", "b"): v for name, v in source.items()}
    del file["b.bias"]
    load_into(network, WeightFile(Path("w"), {f"module.{k}": v for k, v in file.items()}), names)
    assert torch.equal(network.conv.weight, source["conv.weight"])
    load_into(network, WeightFile(Path("w"), {**file, "a.9.weight": torch.ones(1)}), names)
    with pytest.raises(UserError, match=r"0 keys are missing \(none\), 1 are surplus \(a\.8\.weight\)"):
        load_into(network, WeightFile(Path("w"), {**file, "a.8.weight": torch.ones(1)}), names)
    del file["b.weight"]
    with pytest.raises(UserError, match=r"1 keys are missing \(b\.weight\)"):
        load_into(network, WeightFile(Path("w"), file), names)


def test_another_embedding_width_is_named() -> None:
    wide = WeightFile(Path("w.pth"), dict(TinyNetwork(12).state_dict()))
    with pytest.raises(UserError, match="gives embeddings of width 12; the network is built for 8"):
        load_into(TinyNetwork(8), wide)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_weights_are_refused_and_leave_the_network_alone(value: float) -> None:
    network = TinyNetwork()
    before = network.conv.weight.clone()
    with pytest.raises(UserError, match=r"NaN or infinite values in 1 tensors: fc\.bias"):
        load_into(network, broken(fc__bias=torch.full((8,), value)))
    assert torch.equal(network.conv.weight, before)


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_text("abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
