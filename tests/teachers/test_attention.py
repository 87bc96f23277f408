"""AttentionNet: its counts from the paper's text, and its modules against functional calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from reference.exported_student import lived_in
from reference.layer_counts import Layers
from reference.torch_counter import torch_cost
from teachers.attention import AttentionModule, AttentionNet, Hourglass, PreActivation, UnitKind
from teachers.iresnet import DIALECTS, Basic

ROOT = Path(__file__).parents[2]
MODULES = {"attention56": [1, 1, 1], "attention92": [1, 2, 3], "attention152": [3, 4, 4]}


Unit = Callable[..., None]
"""Adds a unit to the layers: its input and output channels, the side of its output, its stride."""

# the architecture, written down


def ir_unit(layers: Layers, cin: int, cout: int, side: int, stride: int = 1, se: bool = True) -> None:
    """The IR unit of TreB1eN's line: no norm before the PReLU, gates without biases."""
    layers.norm(cin)
    layers.conv(cin, cout, 3, side * stride)
    layers.prelu(cout)
    layers.conv(cout, cout, 3, side)
    layers.norm(cout)
    if se:
        layers.conv(cout, cout // 16, 1, 1)
        layers.conv(cout // 16, cout, 1, 1)
    if cin != cout:
        layers.conv(cin, cout, 1, side)
        layers.norm(cout)


def paper_unit(layers: Layers, cin: int, cout: int, side: int, stride: int = 1, unused: bool = False) -> None:
    """The paper's bottleneck; ``unused`` are the projections that FaceX-Zoo's copy holds and never applies."""
    layers.norm(cin)
    layers.conv(cin, cout // 4, 1, side * stride)
    layers.norm(cout // 4)
    layers.conv(cout // 4, cout // 4, 3, side)
    layers.norm(cout // 4)
    layers.conv(cout // 4, cout, 1, side)
    if cin != cout:
        layers.conv(cin, cout, 1, side)
    elif unused:
        layers.parameters += cin * cout


def attention_module(layers: Layers, unit: Unit, width: int, side: int) -> None:
    for _ in range(1 + 2 + 1):  # the shared unit, two of the trunk, the last one
        unit(layers, width, width, side)
    levels = [s for s in (28, 14, 7) if s < side]
    for small in levels:
        unit(layers, width, width, small)  # down
        unit(layers, width, width, small)  # up
        layers.resize(width, 2 * small)
    for small in levels[:-1]:
        unit(layers, width, width, small)  # the skip across the next level
    for _ in range(2):
        layers.norm(width)
        layers.conv(width, width, 1, side)


def body(layers: Layers, unit: Unit, widths: Sequence[int], modules: Sequence[int], first_stride: int = 2) -> None:
    for side, cin, width, count in zip((56, 28, 14, 7), widths, widths[1:], [*modules, 0], strict=False):
        unit(layers, cin, width, side, first_stride if side == 56 else 2)
        for _ in range(count):
            attention_module(layers, unit, width, side)
    for _ in range(2):
        unit(layers, widths[-1], widths[-1], 7)


def ir_network(modules: Sequence[int], se: bool = True, dim: int = 512) -> Layers:
    layers = Layers()
    layers.conv(3, 64, 3, 112)
    layers.norm(64)
    layers.prelu(64)
    body(layers, partial(ir_unit, se=se), (64, 64, 128, 256, 512), modules)
    layers.norm(512)
    layers.dense(512 * 49, dim)
    layers.norm(dim)
    return layers


def paper_network(modules: Sequence[int], dim: int = 512, unused: bool = False) -> Layers:
    layers = Layers()
    layers.conv(3, 64, 7, 56)
    layers.norm(64)
    body(layers, partial(paper_unit, unused=unused), (64, 256, 512, 1024, 2048), modules, first_stride=1)
    layers.dense(2048 * 49, dim, bias=False)
    layers.norm(dim)
    return layers


@pytest.mark.parametrize(
    ("modules", "printed"),
    [
        ([1, 1, 1], (38.18, 11.05)),
        ([1, 2, 3], (55.42, 17.62)),  # FaceX-Zoo's and cavaface's own tables have 55.42 M and 17.63 G
        ([2, 3, 4], (66.31, 24.41)),
        ([3, 4, 4], (69.92, 29.06)),
        ([2, 4, 5], (76.28, 28.85)),
    ],
)
def test_ir_networks_from_their_layers(modules: list[int], printed: tuple[float, float]) -> None:
    layers = ir_network(modules)
    assert (round(layers.parameters / 1e6, 2), round(layers.flops / 1e9, 2)) == printed


@pytest.mark.parametrize(
    ("modules", "parameters", "flops"),
    [([1, 1, 1], 98.96, 12.5), ([1, 2, 3], 134.56, 21.0), ([3, 4, 4], 164.0, 35.7)],
)
def test_bottleneck_networks_have_the_published_sizes(modules: list[int], parameters: float, flops: float) -> None:
    """FaceX-Zoo prints 98.96 M and 134.56 M, with what its units hold and do not use."""
    layers = paper_network(modules, unused=True)
    assert round(layers.parameters / 1e6, 1 if parameters == 164.0 else 2) == parameters
    assert round(layers.flops / 1e9, 1) == flops


@pytest.mark.parametrize(
    ("kind", "layers"),
    [
        ("ir_se", ir_network([1, 1, 1], True, 16)),
        ("ir", ir_network([1, 1, 1], False, 16)),
        ("bottleneck", paper_network([1, 1, 1], 16)),
    ],
)
def test_each_kind_of_unit_has_the_counts_of_its_layers(kind: UnitKind, layers: Layers) -> None:
    with FakeTensorMode():
        found = torch_cost(AttentionNet([1, 1, 1], kind, embedding_dim=16))
    assert (found.parameters, found.macs, found.flops) == (layers.parameters, layers.macs, layers.flops)


@pytest.mark.parametrize("name", MODULES)
def test_shipped_configuration_and_card_are_of_the_written_network(name: str) -> None:
    settings = yaml.safe_load((ROOT / "conf" / "teacher" / f"{name}.yaml").read_text())["network"]
    assert settings.pop("_target_") == "teachers.attention.AttentionNet"
    assert settings["modules"] == MODULES[name]
    with FakeTensorMode():
        found = torch_cost(AttentionNet(**settings))
    layers = ir_network(MODULES[name])
    assert (found.parameters, found.macs, found.flops) == (layers.parameters, layers.macs, layers.flops)
    card = yaml.safe_load((ROOT / "teachers" / "cards" / f"{name}.yaml").read_text())
    assert card["cost"] == {"macs": found.macs, "flops": found.flops, "parameters": found.parameters}
    assert card["embedding_dim"] == settings["embedding_dim"]


# what the parts compute


def norm(x: Tensor, layer: nn.BatchNorm2d) -> Tensor:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    columns = [v.view(1, -1, 1, 1) for v in (layer.running_mean, layer.running_var, layer.weight, layer.bias)]
    mean, var, scale, shift = columns
    return (x - mean) / torch.sqrt(var + 1e-5) * scale + shift


def by_corners(x: Tensor, side: int) -> Tensor:
    """Bilinear resizing of square maps whose corner pixels stay in the corners, pixel by pixel."""
    out = x.new_zeros(*x.shape[:2], side, side)
    step = (x.shape[-1] - 1) / (side - 1)
    for row in range(side):
        for column in range(side):
            top, left = min(int(row * step), x.shape[-1] - 2), min(int(column * step), x.shape[-1] - 2)
            down, right = row * step - top, column * step - left
            a, b = x[..., top, left], x[..., top, left + 1]
            c, d = x[..., top + 1, left], x[..., top + 1, left + 1]
            out[..., row, column] = (1 - down) * ((1 - right) * a + right * b) + down * ((1 - right) * c + right * d)
    return out


def lively(network: nn.Module) -> nn.Module:
    """Weights of a usual size in layers that start at zero."""
    torch.manual_seed(1)
    for weight in network.parameters():
        if weight.ndim == 4:
            nn.init.kaiming_normal_(weight)
    return lived_in(network)


@torch.no_grad()
@pytest.mark.parametrize("added", [False, True])
def test_a_module_multiplies_its_trunk_by_one_and_the_mask(added: bool) -> None:
    """Eq. 3 of the paper, and the sum that cavaface's first stage computes."""
    module = AttentionModule("ir_se", 16, 2, added)
    lively(module)
    crops = torch.randn(2, 16, 12, 12)
    x = module.first(crops)
    trunk = module.trunk(x)
    mask = norm(module.hourglass(x) + trunk, module.mask[0])  # pyright: ignore[reportArgumentType]
    s = module.state_dict()
    mask = F.conv2d(mask.relu(), s["mask.2.weight"])
    mask = F.conv2d(norm(mask, module.mask[3]).relu(), s["mask.5.weight"])  # pyright: ignore[reportArgumentType]
    mask = 1 / (1 + torch.exp(-mask))
    expected = module.last((1 + mask) + trunk if added else (1 + mask) * trunk)
    torch.testing.assert_close(module(crops), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_an_hourglass_halves_and_enlarges_with_skips() -> None:
    outer = Hourglass("ir", 16, 2)
    lively(outer)
    inner = outer.inner
    assert inner is not None
    assert outer.skip is not None
    x = torch.randn(2, 16, 12, 12)
    at6 = outer.down(F.max_pool2d(x, 3, 2, 1))
    at3 = inner.down(F.max_pool2d(at6, 3, 2, 1))
    assert at3.shape[-1] == 3
    up6 = by_corners(inner.up(at3), 6) + at6 + outer.skip(at6)
    torch.testing.assert_close(outer(x), by_corners(outer.up(up6), 12), rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("cin", "stride"), [(16, 1), (16, 2), (8, 2)])
def test_the_bottleneck_projects_what_the_first_norm_gives(cin: int, stride: int) -> None:
    unit = PreActivation(cin, 16, stride)
    lively(unit)
    x = torch.randn(2, cin, 8, 8)
    first = norm(x, unit.bn1).relu()
    out = norm(F.conv2d(first, unit.conv1.weight), unit.bn2).relu()
    out = norm(F.conv2d(out, unit.conv2.weight, stride=stride, padding=1), unit.bn3).relu()
    out = F.conv2d(out, unit.conv3.weight)
    shortcut = x if unit.projection is None else F.conv2d(first, unit.projection.weight, stride=stride)
    assert (unit.projection is None) == (cin == 16 and stride == 1)
    torch.testing.assert_close(unit(x), out + shortcut, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("cin", "stride"), [(16, 1), (16, 2), (8, 2)])
def test_the_ir_unit_has_no_inner_norm_and_subsamples_where_the_width_stays(cin: int, stride: int) -> None:
    unit = Basic(cin, 16, stride, se=True, dialect=DIALECTS["facexzoo"])
    lively(unit)
    s = unit.state_dict()
    x = torch.randn(2, cin, 8, 8)
    out = F.conv2d(norm(x, unit.bn1), s["conv1.weight"], padding=1)
    out = torch.where(out > 0, out, out * s["prelu.weight"].view(1, -1, 1, 1))
    out = norm(F.conv2d(out, s["conv2.weight"], stride=stride, padding=1), unit.bn3)
    gate = F.conv2d(F.conv2d(out.mean((2, 3), keepdim=True), s["se.conv1.weight"]).relu(), s["se.conv2.weight"])
    shortcut = x[..., ::stride, ::stride]
    if cin != 16:
        shortcut = norm(F.conv2d(shortcut, s["downsample.0.weight"]), unit.downsample[1])  # pyright: ignore
    torch.testing.assert_close(unit(x), out * gate.sigmoid() + shortcut, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["ir_se", "bottleneck"])
def test_maps_are_the_four_stages(kind: UnitKind) -> None:
    with FakeTensorMode():
        network = AttentionNet([1, 1, 1], kind, embedding_dim=16).eval()
        for crop in (112, 80):
            output = network.forward_maps(torch.randn(2, 3, crop, crop))
            assert output.embedding.shape == (2, 16)
            sizes = {name: tuple(m.shape[1:]) for name, m in output.maps.items()}
            assert sizes == {
                n: (c, crop >> i + 1, crop >> i + 1) for i, (n, c) in enumerate(network.map_channels.items())
            }


def test_only_the_first_stage_has_an_added_mask() -> None:
    with torch.device("meta"):
        network = AttentionNet([1, 1, 1], embedding_dim=16, added_mask=True)
    found = {name: m.added_mask for name, m in network.named_modules() if isinstance(m, AttentionModule)}
    assert found == {"stage1.1": True, "stage2.1": False, "stage3.1": False}


def test_a_new_module_changes_its_map_by_a_known_factor() -> None:
    module = AttentionNet([0, 0, 1], embedding_dim=16).eval().stage3[1]
    x = torch.randn(2, 256, 8, 8)
    torch.testing.assert_close(module(x), 1.5 * x)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"3 module counts of 0 or more; got \[1, -1, 1\]"):
        AttentionNet([1, -1, 1])
    with pytest.raises(ValueError, match="expected ir_se, ir, bottleneck"):
        AttentionNet([1, 1, 1], "wide")  # pyright: ignore[reportArgumentType]
