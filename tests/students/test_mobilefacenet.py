from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from distill.students.mobilefacenet import MobileFaceNet
from reference.torch_counter import TorchCost, torch_cost

CONF = Path(__file__).parents[2] / "conf" / "student"

Y1 = (1, 4, 6, 2)
Y2 = (2, 8, 16, 4)


@pytest.mark.parametrize(
    ("blocks", "embedding_dim", "cost"),
    [
        (Y2, 256, TorchCost(933_336_950, 468_825_088, 1_996_288, 38_400)),
        (Y2, 512, TorchCost(933_599_094, 468_956_160, 2_128_128, 38_912)),
        (Y1, 128, TorchCost(439_821_056, 220_965_376, 1_003_264, 19_584)),
    ],
)
def test_published_counts(blocks: tuple[int, ...], embedding_dim: int, cost: TorchCost) -> None:
    with torch.device("meta"):
        assert torch_cost(MobileFaceNet(blocks, embedding_dim)) == cost


def test_default_is_y2() -> None:
    with torch.device("meta"):
        assert torch_cost(MobileFaceNet()).parameters == 1_996_288


@pytest.mark.parametrize(("name", "parameters"), [("mobilefacenet", 1_996_288), ("mobilefacenet_512", 2_128_128)])
def test_shipped_configuration_builds_the_counted_network(name: str, parameters: int) -> None:
    settings = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    network = settings["network"]
    assert settings["name"] == name
    assert network.pop("_target_") == "distill.students.mobilefacenet.MobileFaceNet"
    with torch.device("meta"):
        assert torch_cost(MobileFaceNet(**network)).parameters == parameters


def test_maps_are_the_four_resolutions() -> None:
    network = MobileFaceNet(Y1, 32).eval()
    output = network.forward_maps(torch.randn(2, 3, 112, 112))
    assert {name: list(m.shape[1:]) for name, m in output.maps.items()} == {
        "stage1": [64, 56, 56],
        "stage2": [64, 28, 28],
        "stage3": [128, 14, 14],
        "stage4": [128, 7, 7],
    }
    assert network.map_channels == {name: m.shape[1] for name, m in output.maps.items()}
    assert output.embedding.shape == (2, 32)


def test_embedding_of_forward_is_that_of_forward_maps() -> None:
    network, crops = MobileFaceNet(Y1, 16).eval(), torch.randn(2, 3, 112, 112)
    torch.testing.assert_close(network(crops), network.forward_maps(crops).embedding, rtol=0, atol=0)


def test_residual_unit_adds_its_input() -> None:
    network = MobileFaceNet(Y2, 16).eval()
    unit = network.stage2[1]
    for layer in unit.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight)
    x = torch.randn(1, 64, 28, 28)
    torch.testing.assert_close(unit(x), x)


def test_signal_neither_dies_nor_explodes_at_the_start() -> None:
    torch.manual_seed(0)
    network = MobileFaceNet(Y1, 64).train()
    embedding = network(torch.randn(8, 3, 112, 112))
    embedding.square().mean().backward()
    assert 0.5 < embedding.detach().std().item() < 2.0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("blocks", [(2, 8, 16), (0, 8, 16, 4)])
def test_wrong_block_counts_are_refused(blocks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="4 block counts"):
        MobileFaceNet(blocks)
