"""A deeper network that begins as a shallower one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from distill.errors import UserError
from teachers.iresnet import IResNet, grow_into
from teachers.weights import WeightFile


def lived(units: list[int], block: str = "basic", se: bool = False) -> IResNet:
    """A network whose weights and statistics are none of a fresh one's."""
    torch.manual_seed(3)
    network = IResNet(units, block, se, embedding_dim=16)  # pyright: ignore[reportArgumentType]
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(0.1 + 0.05 * torch.rand_like(value))
    return network.eval()


def weights_of(network: IResNet) -> WeightFile:
    return WeightFile(Path("shallow.safetensors"), dict(network.state_dict()))


@pytest.mark.parametrize(("block", "se"), [("basic", False), ("basic", True), ("bottleneck", False)])
def test_grown_network_says_what_the_shallow_one_says(block: str, se: bool) -> None:
    shallow = lived([1, 2, 1, 1], block, se)
    deep = IResNet([2, 2, 4, 3], block, se, embedding_dim=16).eval()  # pyright: ignore[reportArgumentType]
    crops = torch.randn(2, 3, 112, 112)
    assert not torch.allclose(deep(crops), shallow(crops), rtol=1e-3)
    grow_into(deep, weights_of(shallow))
    torch.testing.assert_close(deep(crops), shallow(crops), rtol=1e-4, atol=1e-6)


def test_new_blocks_learn() -> None:
    deep = IResNet([1, 1, 2, 1], embedding_dim=16)
    grow_into(deep, weights_of(lived([1, 1, 1, 1])))
    deep(torch.randn(2, 3, 112, 112)).square().sum().backward()
    assert deep.layer3[1].bn3.weight.grad.abs().max() > 0  # pyright: ignore


@pytest.mark.parametrize(
    ("units", "options", "named"),
    [
        ([2, 1, 1, 1], {}, "surplus (layer1.1."),
        ([1, 1, 1, 1], {"embedding_dim": 32}, "width 32; the network is built for 16"),
        ([1, 1, 1, 1], {"se": True}, "surplus"),
    ],
)
def test_what_does_not_fit_is_named(units: list[int], options: dict, named: str) -> None:
    shallow = IResNet(units, **{"embedding_dim": 16, **options})
    with pytest.raises(UserError, match=r"shallow\.safetensors") as caught:
        grow_into(IResNet([1, 1, 2, 1], embedding_dim=16), weights_of(shallow))
    assert named in str(caught.value)


def test_a_weight_missing_from_a_block_that_both_have_is_named() -> None:
    tensors = dict(lived([1, 1, 1, 1]).state_dict())
    del tensors["layer2.0.conv1.weight"]
    with pytest.raises(UserError, match=r"1 keys are missing \(layer2\.0\.conv1\.weight\)"):
        grow_into(IResNet([1, 1, 2, 1], embedding_dim=16), WeightFile(Path("cut.safetensors"), tensors))
