"""A network's weights are found in a file whatever wrapped the network that was saved, and whatever lies beside it."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from distill.errors import UserError
from reference.tiny_network import TinyNetwork
from teachers.growth import grow_into
from teachers.iresnet import IResNet
from teachers.weight_names import names_of, place_of
from teachers.weights import load_into, read_weights

PREFIXES = ("module.", "_orig_mod.", "backbone.", "model.", "net.", "encoder.", "student.", "my_own_name.")
SOURCE = TinyNetwork()
STATE = {key: value.clone() for key, value in SOURCE.state_dict().items()}
HEAD = {"head.kernel": torch.ones(8, 50), "margin.weight": torch.ones(50, 8), "weight": torch.ones(50, 8)}


def below(prefix: str, state: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    return {prefix + key: value.clone() for key, value in (state or STATE).items()}


def loaded(path: Path) -> TinyNetwork:
    network = TinyNetwork()
    load_into(network, read_weights(path))
    return network


def is_source(network: TinyNetwork) -> bool:
    return all(torch.equal(value, STATE[key]) for key, value in network.state_dict().items())


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any, str], Path]:
    def save(content: Any, suffix: str) -> Path:
        path = tmp_path / f"x{suffix}"
        save_file(content, path) if suffix == ".safetensors" else torch.save(content, path)
        return path

    return save


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("prefixes", [*itertools.permutations(PREFIXES, 1), *itertools.permutations(PREFIXES, 2)])
def test_any_prefixes_in_any_order_in_every_container(write, suffix: str, prefixes: tuple[str, ...]) -> None:
    assert is_source(loaded(write(below("".join(prefixes)), suffix)))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3, "arch": "r18", "best": 0.5},
        lambda state: {"model": state},
        lambda state: {"net": state, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": []}},
        lambda state: {"model_state_dict": below("module.", state)},
        lambda state: {"state_dict": {"model": below("_orig_mod.", state)}},
        lambda state: {"state_dict": {**below("model.backbone.", state), **HEAD}},
        lambda state: {"ema": state},
        lambda state: {**below("module.", state), "n_averaged": torch.tensor(3)},
        lambda state: {"state_dict_backbone": state, "state_dict_softmax_fc": {"weight": torch.ones(50, 8)}},
    ],
)
def test_the_wrappers_of_trainers(write, wrap: Callable[[dict], dict]) -> None:
    assert is_source(loaded(write(wrap(STATE), ".pth")))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_head_beside_the_network_is_left_out_with_a_note(write, suffix: str, caplog) -> None:
    with caplog.at_level(logging.INFO):
        assert is_source(loaded(write({**below("backbone."), **HEAD}, suffix)))
    (told,) = [record.getMessage() for record in caplog.records]
    assert "3 tensors beside the network are not used (" in told
    assert "head.kernel" in told


def test_a_deeper_network_is_no_head() -> None:
    deep = IResNet([1, 1, 2, 1], embedding_dim=8).state_dict()
    place = place_of(IResNet([1, 1, 1, 1], embedding_dim=8).state_dict(), deep)
    assert not place.missing
    assert place.surplus
    assert all(name.startswith("layer3.1.") for name in place.surplus)


def test_a_deeper_network_is_refused(write) -> None:
    path = write(below("module.", IResNet([1, 1, 2, 1], embedding_dim=8).state_dict()), ".safetensors")
    with pytest.raises(UserError, match=r"does not fit this network: 0 keys are missing \(none\), \d+ are surplus"):
        load_into(IResNet([1, 1, 1, 1], embedding_dim=8), read_weights(path))


def test_missing_keys_are_named_by_the_names_of_the_network(write) -> None:
    state = below("module.")
    del state["module.conv.weight"]
    with pytest.raises(UserError, match=r"1 keys are missing \(conv\.weight\), 0 are surplus"):
        loaded(write(state, ".safetensors"))


def test_weights_of_a_network_with_other_names_are_named_so(write) -> None:
    path = write({"body.0.weight": torch.ones(3)}, ".pth")
    with pytest.raises(UserError, match=r"does not fit this network: .*; it is of another network: name that one"):
        loaded(path)


def test_an_average_stands_behind_the_weights_that_it_is_of(write, caplog) -> None:
    average = {key: value + 1 for key, value in STATE.items()}
    with caplog.at_level(logging.INFO):
        assert is_source(loaded(write({"ema": average, "model": STATE}, ".pth")))
    assert "the weights below 'model.' are used, not those below ema." in caplog.text


def test_two_networks_of_the_same_names_are_refused(write) -> None:
    other = {key: value + 1 for key, value in STATE.items()}
    path = write({**below("teacher.", other), **below("student.")}, ".safetensors")
    with pytest.raises(UserError, match=r"holds this network 2 times with other values, below student\., teacher\."):
        loaded(path)


def test_two_copies_of_the_same_values_are_one(write) -> None:
    assert is_source(loaded(write({**below("a."), **below("b.")}, ".safetensors")))


def test_of_two_networks_the_one_that_fits_is_taken(write) -> None:
    wide = TinyNetwork(12).state_dict()
    assert is_source(loaded(write({**below("teacher.", wide), **below("student.")}, ".safetensors")))


def test_a_shallow_network_grows_from_weights_with_a_prefix(write) -> None:
    torch.manual_seed(0)
    shallow, deep = (IResNet(units, embedding_dim=8).eval() for units in ([1, 1, 1, 1], [1, 1, 2, 1]))
    grow_into(deep, read_weights(write(below("module.", shallow.state_dict()), ".safetensors")))
    crops = torch.randn(1, 3, 112, 112)
    torch.testing.assert_close(deep(crops), shallow(crops), rtol=1e-4, atol=1e-6)


def test_names_of_nested_dicts() -> None:
    content = {"a": {"b.c": torch.ones(1), 0: {"d": torch.ones(2)}}, "epoch": 3, "list": [torch.ones(1)]}
    assert list(names_of(content)) == ["a.b.c", "a.0.d"]
