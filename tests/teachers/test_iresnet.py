from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from reference.layer_counts import Layers
from reference.torch_counter import TorchCost, torch_cost
from teachers.iresnet import IResNet

CONF = Path(__file__).parents[2] / "conf" / "teacher"
UNITS = {
    "r18": [2, 2, 2, 2],
    "r50": [3, 4, 14, 3],
    "r100": [3, 13, 30, 3],
    "r124": [3, 13, 40, 5],
    "r152": [3, 8, 36, 3],
    "r152_se": [3, 8, 36, 3],
}


def cost(**arguments: Any) -> TorchCost:
    """Counted on fake tensors, which have shapes and no memory."""
    with FakeTensorMode():
        return torch_cost(IResNet(**arguments))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"units": UNITS["r18"]}, TorchCost(5_216_096_256, 2_609_954_816, 24_025_600, 14_720)),
        ({"units": UNITS["r50"]}, TorchCost(12_612_791_296, 6_309_330_944, 43_590_848, 38_144)),
        ({"units": UNITS["r100"]}, TorchCost(24_169_929_728, 12_089_606_144, 65_156_160, 69_632)),
        ({"units": UNITS["r152"]}, TorchCost(24_632_753_152, 12_320_817_152, 70_765_760, 75_008)),
        ({"units": UNITS["r124"]}, TorchCost(29_717_890_048, 14_864_138_240, 86_414_912, 91_136)),
        ({"units": [3, 22, 33, 3]}, TorchCost(29_716_886_528, 14_864_138_240, 71_362_752, 81_152)),
    ],
)
def test_published_counts(arguments: dict[str, Any], expected: TorchCost) -> None:
    assert cost(**arguments) == expected


def written(units: list[int], dialect: str = "insightface", se: bool = False, bottleneck: bool = False) -> Layers:
    """The network layer by layer, as the public variants of the family have it."""
    layers, cin = Layers(), 64
    layers.conv(3, 64, 3, 112)
    layers.norm(64)
    layers.prelu(64)
    for side, width, count in zip((56, 28, 14, 7), (64, 128, 256, 512), units, strict=True):
        for index in range(count):
            cout, stride = 4 * width if bottleneck else width, 2 if index == 0 else 1
            body = narrow_block if bottleneck else wide_block
            body(layers, cin, width, side, stride, inner_norm=dialect != "facexzoo")
            if se:
                gate(layers, cout, bias=dialect == "insightface")
            if cin != cout or (stride == 2 and dialect == "insightface"):
                layers.conv(cin, cout, 1, side)
                layers.norm(cout)
            cin = cout
    layers.norm(cin)
    layers.dense(cin * 49, 512)
    layers.norm(512)
    return layers


def wide_block(layers: Layers, cin: int, width: int, side: int, stride: int, inner_norm: bool) -> None:
    layers.norm(cin)
    layers.conv(cin, width, 3, side * stride)
    if inner_norm:
        layers.norm(width)
    layers.prelu(width)
    layers.conv(width, width, 3, side)
    layers.norm(width)


def narrow_block(layers: Layers, cin: int, width: int, side: int, stride: int, inner_norm: bool) -> None:
    layers.norm(cin)
    layers.conv(cin, width, 1, side * stride)
    layers.norm(width)
    layers.prelu(width)
    layers.conv(width, width, 3, side * stride)
    layers.norm(width)
    layers.prelu(width)
    layers.conv(width, 4 * width, 1, side)
    layers.norm(4 * width)


def gate(layers: Layers, channels: int, bias: bool) -> None:
    layers.conv(channels, channels // 16, 1, 1, bias=bias)
    layers.prelu(channels // 16 * bias)
    layers.conv(channels // 16, channels, 1, 1, bias=bias)


@pytest.mark.parametrize("bottleneck", [False, True])
@pytest.mark.parametrize("se", [False, True])
@pytest.mark.parametrize("dialect", ["insightface", "facexzoo", "adaface"])
def test_each_dialect_has_the_counts_of_its_layers(dialect: str, se: bool, bottleneck: bool) -> None:
    found = cost(units=[1, 2, 1, 1], dialect=dialect, se=se, block="bottleneck" if bottleneck else "basic")
    layers = written([1, 2, 1, 1], dialect, se, bottleneck)
    assert (found.parameters, found.macs, found.flops) == (layers.parameters, layers.macs, layers.flops)


@pytest.mark.parametrize(
    ("units", "se", "expected"),
    [
        (UNITS["r50"], False, (43_574_976, 6_296_485_888)),
        (UNITS["r50"], True, (43_797_696, 6_296_708_608)),
        (UNITS["r152"], False, (70_737_600, 12_307_972_096)),
        (UNITS["r152"], True, (71_148_736, 12_308_383_232)),
    ],
)
def test_facexzoo_has_the_counts_of_its_table(units: list[int], se: bool, expected: tuple[int, int]) -> None:
    found = cost(units=units, se=se, dialect="facexzoo")
    assert (found.parameters, found.macs) == expected


def test_61_blocks_are_the_most_that_fit_the_large_limit() -> None:
    assert sum(UNITS["r124"]) == 3 + 22 + 33 + 3 == 61
    for units in (UNITS["r124"], [3, 22, 33, 3]):
        assert written(units).flops < 30e9 < written([*units[:2], units[2] + 1, units[3]]).flops


def test_channel_gates_are_those_of_mxnet() -> None:
    found = cost(units=UNITS["r152"], se=True)
    assert (found.parameters, found.macs) == (71_190_360, 12_321_228_288)


@pytest.mark.parametrize(
    ("units", "printed"), [([3, 8, 36, 3], (109.64, 12.89, 25.76)), ([3, 24, 36, 3], (114.14, 16.39, 32.74))]
)
def test_bottleneck_is_adaface_to_its_printed_digits(units: list[int], printed: tuple[float, float, float]) -> None:
    found = cost(units=units, block="bottleneck")
    assert (round(found.parameters / 1e6, 2), round(found.macs / 1e9, 2), round(found.flops / 1e9, 2)) == printed


def test_bottleneck_gates_have_the_width_of_the_sum() -> None:
    gated, plain = (cost(units=[1, 1, 1, 1], block="bottleneck", se=se).parameters for se in (True, False))
    gates = sum(c * c // 16 * 2 + c // 16 * 2 + c for c in (256, 512, 1024, 2048))
    assert gated - plain == gates


@pytest.mark.parametrize("name", UNITS)
def test_shipped_configuration_builds_the_network_of_its_card(name: str) -> None:
    settings = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    network = settings["network"]
    assert network.pop("_target_") == "teachers.iresnet.IResNet"
    found = cost(**network)
    card = yaml.safe_load((CONF.parents[1] / "teachers" / "cards" / f"{name}.yaml").read_text())
    assert card["cost"] == {"macs": found.macs, "flops": found.flops, "parameters": found.parameters}
    assert card["embedding_dim"] == network["embedding_dim"]


def arcface_torch_keys(units: list[int]) -> set[str]:
    """The names in a checkpoint of InsightFace's arcface_torch, written down from its layout."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    keys = {"conv1.weight", "prelu.weight", "fc.weight", "fc.bias"}
    keys |= {f"{n}.{k}" for n in ("bn1", "bn2", "features") for k in norm}
    for layer, count in enumerate(units, 1):
        for block in range(count):
            stem = f"layer{layer}.{block}"
            keys |= {f"{stem}.{n}.weight" for n in ("conv1", "conv2", "prelu")}
            keys |= {f"{stem}.{n}.{k}" for n in ("bn1", "bn2", "bn3") for k in norm}
        keys |= {f"layer{layer}.0.downsample.0.weight"} | {f"layer{layer}.0.downsample.1.{k}" for k in norm}
    return keys


@pytest.mark.parametrize("units", UNITS.values())
def test_names_are_those_of_arcface_torch(units: list[int]) -> None:
    with torch.device("meta"):
        assert set(IResNet(units).state_dict()) == arcface_torch_keys(units)


def test_basic_block_computes_what_its_names_say() -> None:
    """Against the block written out with functional calls, so that a wrong order of layers shows."""
    network = IResNet([1, 1, 1, 1], embedding_dim=8).eval()
    block = network.layer2[0]
    for norm in (m for m in block.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_mean = torch.randn(norm.num_features)
        norm.running_var = torch.rand(norm.num_features) + 0.5
    x = torch.randn(2, 64, 8, 8)
    s = block.state_dict()

    def norm(y: torch.Tensor, name: str) -> torch.Tensor:
        scale = s[f"{name}.weight"] / torch.sqrt(s[f"{name}.running_var"] + 1e-5)
        return (y - s[f"{name}.running_mean"].view(1, -1, 1, 1)) * scale.view(1, -1, 1, 1) + s[f"{name}.bias"].view(
            1, -1, 1, 1
        )

    y = norm(torch.conv2d(norm(x, "bn1"), s["conv1.weight"], padding=1), "bn2")
    y = torch.where(y > 0, y, y * s["prelu.weight"].view(1, -1, 1, 1))
    y = norm(torch.conv2d(y, s["conv2.weight"], stride=2, padding=1), "bn3")
    shortcut = norm(torch.conv2d(x, s["downsample.0.weight"], stride=2), "downsample.1")
    torch.testing.assert_close(block(x), y + shortcut, rtol=1e-4, atol=1e-4)


def test_maps_are_the_four_stages() -> None:
    network = IResNet([1, 1, 1, 1], embedding_dim=64).eval()
    output = network.forward_maps(torch.randn(2, 3, 112, 112))
    sizes = {name: list(m.shape[1:]) for name, m in output.maps.items()}
    assert sizes == {f"stage{i + 1}": [64 << i, 56 >> i, 56 >> i] for i in range(4)}
    assert network.map_channels == {name: size[0] for name, size in sizes.items()}
    assert output.embedding.shape == (2, 64)


def test_last_norm_has_a_fixed_scale() -> None:
    network = IResNet([1, 1, 1, 1], embedding_dim=8)
    assert not network.features.weight.requires_grad
    assert network.features.bias.requires_grad
    assert bool((network.features.weight == 1).all())


def test_head_stays_in_float32_under_autocast() -> None:
    network = IResNet([1, 1, 1, 1], embedding_dim=64).eval()
    with torch.autocast("cpu", torch.bfloat16):
        output = network.forward_maps(torch.randn(1, 3, 112, 112))
    assert output.embedding.dtype == torch.float32
    assert output.maps["stage1"].dtype == torch.bfloat16


def test_eps_reaches_every_norm() -> None:
    with torch.device("meta"):
        network = IResNet([1, 1, 1, 1], eps=2e-5)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert len(norms) == 4 * 4 + 3
    assert {m.eps for m in norms} == {2e-5}


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="4 unit counts"):
        IResNet([3, 4, 3])
    with pytest.raises(ValueError, match="expected insightface, facexzoo, adaface"):
        IResNet([1, 1, 1, 1], dialect="mxnet")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="'basic' or 'bottleneck'"):
        IResNet([1, 1, 1, 1], block="wide")  # pyright: ignore[reportArgumentType]
