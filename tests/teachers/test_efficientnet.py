"""EfficientNet: its counts from the papers' tables, its scaling, and its blocks against functional calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from reference.exported_student import lived_in
from reference.layer_counts import Layers
from reference.torch_counter import torch_cost
from teachers.efficientnet import Design, EfficientNet, MBConv, Row, scaled_width

ROOT = Path(__file__).parents[2]
LIMIT = 30_000_000_000
STEP = 0.02
"""Of the compound coefficient."""


# the architecture, written down: fused, expansion, channels, blocks, stride, kernel of each row

B0 = (32, [(0, 1, 16, 1, 1, 3), (0, 6, 24, 2, 2, 3), (0, 6, 40, 2, 2, 5), (0, 6, 80, 3, 2, 3),
           (0, 6, 112, 3, 1, 5), (0, 6, 192, 4, 2, 5), (0, 6, 320, 1, 1, 3)])  # fmt: skip
V2S = (24, [(1, 1, 24, 2, 1, 3), (1, 4, 48, 4, 2, 3), (1, 4, 64, 4, 2, 3), (0, 4, 128, 6, 2, 3),
            (0, 6, 160, 9, 1, 3), (0, 6, 256, 15, 2, 3)])  # fmt: skip


def eights(channels: float) -> int:
    """The nearest multiple of 8, the next one where that loses more than a tenth."""
    nearest = max(8, int(channels / 8 + 0.5) * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def fused_block(layers: Layers, cin: int, cout: int, wide: int, kernel: int, side: int) -> None:
    if wide == cin:
        layers.conv(cin, cout, kernel, side)
        layers.norm(cout)
        return
    layers.conv(cin, wide, kernel, side)
    layers.norm(wide)
    layers.conv(wide, cout, 1, side)
    layers.norm(cout)


def gated_block(layers: Layers, cin: int, cout: int, wide: int, kernel: int, side: int, stride: int) -> None:
    if wide != cin:
        layers.conv(cin, wide, 1, side * stride)
        layers.norm(wide)
    layers.conv(wide, wide, kernel, side, groups=wide)
    layers.norm(wide)
    inner = cin // 4
    layers.conv(wide, inner, 1, 1, bias=True)
    layers.conv(inner, wide, 1, 1, bias=True)
    layers.conv(wide, cout, 1, side)
    layers.norm(cout)


def trunk(
    table: tuple[int, Sequence[Sequence[int]]], width: float = 1.0, depth: float = 1.0, folded: bool = False
) -> Layers:
    """Stem, rows and the last 1x1 convolution, from 112 px."""
    layers, side, cin = Layers(folded), 112, eights(table[0] * width)
    layers.conv(3, cin, 3, side)
    layers.norm(cin)
    for fused, expansion, channels, blocks, stride, kernel in table[1]:
        cout = eights(channels * width)
        for index in range(math.ceil(blocks * depth)):
            step = stride if index == 0 else 1
            side //= step
            if fused:
                fused_block(layers, cin, cout, cin * expansion, kernel, side)
            else:
                gated_block(layers, cin, cout, cin * expansion, kernel, side, step)
            cin = cout
    layers.conv(cin, eights(1280 * width), 1, side)
    layers.norm(eights(1280 * width))
    return layers


def written(
    table: tuple[int, Sequence[Sequence[int]]], width: float, depth: float, dim: int, folded: bool = False
) -> Layers:
    layers, last = trunk(table, width, depth, folded), eights(1280 * width)
    layers.conv(last, last, 7, 1, groups=last)
    layers.norm(last)
    layers.dense(last, dim)
    layers.norm(dim)
    return layers


@pytest.mark.parametrize(("table", "published"), [(B0, 5_288_548), (V2S, 21_458_488)], ids=["B0", "V2-S"])
def test_published_parameters_but_for_the_classifier(table: tuple, published: int) -> None:
    assert trunk(table).parameters == published - (1280 * 1000 + 1000)


@pytest.mark.parametrize(("design", "table"), [("b0", B0), ("v2s", V2S)])
@pytest.mark.parametrize(("width", "depth"), [(1.0, 1.0), (0.6, 1.3)])
def test_each_design_has_the_counts_of_its_layers(design: Design, table: tuple, width: float, depth: float) -> None:
    with FakeTensorMode():
        found = torch_cost(EfficientNet(width, depth, design, embedding_dim=16))
    layers = written(table, width, depth, 16)
    assert (found.parameters, found.macs, found.flops) == (layers.parameters, layers.macs, layers.flops)


def test_shipped_configuration_and_card_are_of_the_written_network() -> None:
    settings = yaml.safe_load((ROOT / "conf" / "teacher" / "efficient30.yaml").read_text())["network"]
    assert settings.pop("_target_") == "teachers.efficientnet.EfficientNet"
    with FakeTensorMode():
        found = torch_cost(EfficientNet(**settings))
    layers = written(V2S, settings["width"], settings["depth"], 512)
    assert (found.parameters, found.macs, found.flops) == (layers.parameters, layers.macs, layers.flops)
    card = yaml.safe_load((ROOT / "teachers" / "cards" / "efficient30.yaml").read_text())
    assert card["cost"] == {"macs": found.macs, "flops": found.flops, "parameters": found.parameters}
    assert card["embedding_dim"] == settings["embedding_dim"]


def test_efficient30_has_the_largest_compound_coefficient_within_the_limit() -> None:
    """In its ONNX file every norm behind a convolution is folded to a bias, which the challenge's formula charges."""

    def flops(step: int) -> int:
        width, depth = round(1.1 ** (STEP * step), 3), round(1.2 ** (STEP * step), 3)
        return written(V2S, width, depth, 512, folded=True).flops

    largest = max(step for step in range(190, 230) if flops(step) <= LIMIT)
    assert round(STEP * largest, 2) == 4.12
    assert flops(largest) == 29_295_730_032, "what `make check` prints for the exported network"
    assert flops(largest + 1) > 30_060_000_000
    settings = yaml.safe_load((ROOT / "conf" / "teacher" / "efficient30.yaml").read_text())["network"]
    assert (settings["width"], settings["depth"]) == (round(1.1**4.12, 3), round(1.2**4.12, 3))


def test_widths_are_multiples_of_eight_that_lose_at_most_a_tenth() -> None:
    """The rounding of both papers' code; 11 would lose more than a tenth at 8."""
    assert [scaled_width(c, w) for c, w in ((32, 1.0), (32, 1.1), (24, 1.4), (11, 1.0), (4, 1.0))] == [
        32,
        32,
        32,
        16,
        8,
    ]


# what the parts compute


def conv(x: Tensor, s: dict[str, Tensor], at: int, stride: int = 1, groups: int = 1) -> Tensor:
    """The convolution at a place of the body and the norm behind it."""
    weight = s[f"body.{at}.weight"]
    x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2, groups=groups)
    mean, var, scale, shift = (
        s[f"body.{at + 1}.{k}"].view(1, -1, 1, 1) for k in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(var + 1e-5) * scale + shift


def swish(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


@torch.no_grad()
@pytest.mark.parametrize(("cout", "stride"), [(8, 1), (8, 2), (12, 1)])
def test_a_gated_block_is_that_of_mobilenet(cout: int, stride: int) -> None:
    torch.manual_seed(0)
    block = MBConv(8, cout, Row(6, cout, 1, stride, 5), stride)
    lived_in(block)
    s = block.state_dict()
    x = torch.randn(2, 8, 9, 9)
    wide = swish(conv(swish(conv(x, s, 0)), s, 3, stride, 48))
    gate = F.conv2d(wide.mean((2, 3), keepdim=True), s["body.6.layers.1.weight"], s["body.6.layers.1.bias"])
    assert gate.shape[1] == 2
    gate = F.conv2d(swish(gate), s["body.6.layers.3.weight"], s["body.6.layers.3.bias"])
    out = conv(wide / (1 + torch.exp(-gate)), s, 7)
    torch.testing.assert_close(block(x), out + x if (cout, stride) == (8, 1) else out, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("expansion", [1, 4])
def test_a_fused_block_convolves_fully(expansion: int) -> None:
    torch.manual_seed(0)
    block = MBConv(8, 8, Row(expansion, 8, 1, 1, fused=True), 1)
    lived_in(block)
    s = block.state_dict()
    x = torch.randn(2, 8, 9, 9)
    out = swish(conv(x, s, 0))
    torch.testing.assert_close(block(x), x + (conv(out, s, 3) if expansion > 1 else out), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("design", "widths"), [("b0", (24, 40, 112, 320)), ("v2s", (48, 64, 160, 256))])
def test_maps_are_the_last_of_each_resolution(design: Design, widths: tuple[int, ...]) -> None:
    with FakeTensorMode():
        network = EfficientNet(design=design, depth=0.1, embedding_dim=16).eval()
        for crop in (112, 80):
            output = network.forward_maps(torch.randn(2, 3, crop, crop))
            sizes = {name: tuple(m.shape[1:]) for name, m in output.maps.items()}
            assert sizes == {f"stage{i + 1}": (c, crop >> i + 1, crop >> i + 1) for i, c in enumerate(widths)}
            assert output.embedding.shape == (2, 16)
    assert tuple(network.map_channels.values()) == widths


def test_a_fresh_depthwise_layer_keeps_the_variance_of_its_input() -> None:
    torch.manual_seed(0)
    network = EfficientNet(depth=0.1, embedding_dim=16)
    assert 0.9 < float(network.pool[0].weight.detach().std()) * (7 * 7 / 2) ** 0.5 < 1.1  # pyright: ignore


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="expected b0 or v2s"):
        EfficientNet(design="b7")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"width and depth are 0 and 1\.0; expected numbers above 0"):
        EfficientNet(width=0)
