from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from distill.errors import UserError
from reference.torch_counter import TorchCost, torch_cost
from teachers.growth import grow_into
from teachers.iresnet import IResNet
from teachers.weights import WeightFile

CONF = Path(__file__).parents[2] / "conf" / "teacher"
UNITS = {"r18": [2, 2, 2, 2], "r50": [3, 4, 14, 3], "r100": [3, 13, 30, 3], "r152": [3, 8, 36, 3]}


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
    ],
)
def test_published_counts(arguments: dict[str, Any], expected: TorchCost) -> None:
    assert cost(**arguments) == expected


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
    with pytest.raises(ValueError, match="'basic' or 'bottleneck'"):
        IResNet([1, 1, 1, 1], block="wide")  # pyright: ignore[reportArgumentType]


# a deeper network that begins as a shallower one


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
