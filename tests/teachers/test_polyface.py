"""PolyFace: its counts from the authors' table, its input, and stochastic depth."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from reference.exported_student import lived_in
from reference.layer_counts import Layers
from reference.torch_counter import torch_cost
from teachers import polyface
from teachers.polyface import KINDS, PolyBlock, PolyFace

ROOT = Path(__file__).parents[2]
BLOCKS = {"polyface": [23, 38, 23], "polyface_video": [20, 30, 20]}


# the architecture, written down


def chain(layers: Layers, cin: int, *steps: tuple[int, int | tuple[int, int], int]) -> None:
    """Convolutions with norms behind each other: output channels, kernel, side of the output."""
    for cout, kernel, side in steps:
        layers.conv(cin, cout, kernel, side)
        layers.norm(cout)
        cin = cout


def stem(layers: Layers) -> None:
    """Inception-v4, figure 3, from 235 px without padding but where the side stays."""
    chain(layers, 3, (32, 3, 117), (32, 3, 115), (64, 3, 115))
    chain(layers, 64, (96, 3, 57))  # beside it a pool: 160 channels
    chain(layers, 160, (64, 1, 57), (96, 3, 55))
    chain(layers, 160, (64, 1, 57), (64, (7, 1), 57), (64, (1, 7), 57), (96, 3, 55))
    chain(layers, 192, (192, 3, 27))  # beside it a pool: 384 channels


def block_a(layers: Layers) -> None:
    chain(layers, 384, (32, 1, 27), (48, 3, 27), (64, 3, 27))
    chain(layers, 384, (32, 1, 27), (32, 3, 27))
    chain(layers, 384, (32, 1, 27))
    chain(layers, 64 + 32 + 32, (384, 1, 27))


def block_b(layers: Layers) -> None:
    chain(layers, 1152, (128, 1, 13), (160, (1, 7), 13), (192, (7, 1), 13))
    chain(layers, 1152, (192, 1, 13))
    chain(layers, 192 + 192, (1152, 1, 13))


def block_c(layers: Layers) -> None:
    chain(layers, 2048, (192, 1, 6), (224, (1, 3), 6), (256, (3, 1), 6))
    chain(layers, 2048, (192, 1, 6))
    chain(layers, 256 + 192, (2048, 1, 6))


def written(blocks: list[int], dim: int) -> Layers:
    layers = Layers()
    layers.resize(3, 235)
    stem(layers)
    for _ in range(blocks[0]):
        block_a(layers)
    chain(layers, 384, (256, 1, 27), (256, 3, 27), (384, 3, 13))
    chain(layers, 384, (384, 3, 13))  # beside it a pool: 384 + 384 + 384
    for _ in range(blocks[1]):
        block_b(layers)
    chain(layers, 1152, (256, 1, 13), (256, 3, 13), (256, 3, 6))
    chain(layers, 1152, (256, 1, 13), (256, 3, 6))
    chain(layers, 1152, (256, 1, 13), (384, 3, 6))  # beside them a pool: 256 + 256 + 384 + 1152
    for _ in range(blocks[2]):
        block_c(layers)
    layers.norm(2048)
    layers.dense(2048 * 6 * 6, dim)
    layers.norm(dim, affine=False)
    return layers


@pytest.mark.parametrize(
    ("blocks", "parameters", "flops", "printed"),
    [([23, 38, 23], 119_927_552, 28_105_114_045, 28.25e9), ([20, 30, 20], 104_096_800, 23_916_158_477, 24.12e9)],
    ids=["images", "videos"],
)
def test_published_sizes_at_their_256_columns(blocks: list[int], parameters: int, flops: int, printed: float) -> None:
    """119.9 M and 28.10 G, 104.1 M and 23.91 G; what the paper prints is within one per cent above."""
    layers = written(blocks, 256)
    assert (layers.parameters, layers.flops) == (parameters, flops)
    assert 0.99 < layers.flops / printed < 1


def test_twice_the_columns_cost_one_dense_layer() -> None:
    wide, narrow = written([23, 38, 23], 512), written([23, 38, 23], 256)
    assert wide.macs - narrow.macs == 256 * 73_728
    assert wide.parameters - narrow.parameters == 256 * 73_728 + 256
    assert wide.flops < 30e9


@pytest.mark.parametrize("name", BLOCKS)
def test_shipped_configuration_and_card_are_of_the_written_network(name: str) -> None:
    settings = yaml.safe_load((ROOT / "conf" / "teacher" / f"{name}.yaml").read_text())["network"]
    assert settings.pop("_target_") == "teachers.polyface.PolyFace"
    assert settings["blocks"] == BLOCKS[name]
    with FakeTensorMode():
        found = torch_cost(PolyFace(**settings))
    layers = written(BLOCKS[name], 512)
    assert (found.parameters, found.macs, found.flops) == (layers.parameters, layers.macs, layers.flops)
    card = yaml.safe_load((ROOT / "teachers" / "cards" / f"{name}.yaml").read_text())
    assert card["cost"] == {"macs": found.macs, "flops": found.flops, "parameters": found.parameters}


# its input


def bilinear(image: np.ndarray, side: int) -> np.ndarray:
    """OpenCV's rule, pixel by pixel in float64: centres at x + 0.5, pixels beyond the border repeat it."""
    last = len(image) - 1
    at = np.clip((np.arange(side) + 0.5) * len(image) / side - 0.5, 0, last)
    out = np.empty((side, side, image.shape[2]))
    for row, y in enumerate(at):
        for column, x in enumerate(at):
            top, left = int(y), int(x)
            down, right = y - top, x - left
            below, beside = min(top + 1, last), min(left + 1, last)
            upper = (1 - right) * image[top, left] + right * image[top, beside]
            lower = (1 - right) * image[below, left] + right * image[below, beside]
            out[row, column] = (1 - down) * upper + down * lower
    return out


def test_crops_lose_a_row_and_a_column_and_grow_to_235_px() -> None:
    image = np.random.default_rng(0).normal(size=(112, 112, 3)).astype(np.float32)
    found = polyface._enlarged(torch.from_numpy(image).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    assert found.shape == (235, 235, 3)
    np.testing.assert_allclose(found, bilinear(image[1:, 1:].astype(np.float64), 235), atol=1e-4)
    np.testing.assert_allclose(found, cv2.resize(image[1:, 1:], (235, 235)), atol=2e-3)  # OpenCV rounds its weights


@pytest.mark.parametrize(("crop", "sides"), [(112, (27, 13, 6)), (80, (19, 9, 4)), (64, (15, 7, 3))])
def test_smaller_crops_have_maps_of_odd_sides(crop: int, sides: tuple[int, int, int]) -> None:
    with FakeTensorMode():
        network = PolyFace([1, 1, 1], embedding_dim=16).eval()
        output = network.forward_maps(torch.randn(2, 3, crop, crop))
    channels = network.map_channels.values()
    found = {name: tuple(m.shape[1:]) for name, m in output.maps.items()}
    expected = zip(network.map_channels, channels, sides, strict=True)
    assert found == {name: (c, s, s) for name, c, s in expected}
    assert output.embedding.shape == (2, 16)


# what the parts compute


@torch.no_grad()
def test_a_block_adds_three_tenths_of_its_branches() -> None:
    block = PolyBlock(KINDS[1], keep=1.0)
    lived_in(block)
    s = block.state_dict()

    def conv(x: Tensor, name: str, padding: tuple[int, int] = (0, 0), norm: str = "1") -> Tensor:
        head, _, number = name.rpartition(".")
        x = F.conv2d(x, s[f"{name}.weight"], padding=padding)
        n = f"{head}.{int(number) + 1}" if head else norm
        columns = [s[f"{n}.{k}"].view(1, -1, 1, 1) for k in ("running_mean", "running_var", "weight", "bias")]
        return (x - columns[0]) / torch.sqrt(columns[1] + 1e-10) * columns[2] + columns[3]

    x = torch.randn(2, 1152, 5, 5).relu()
    long = conv(x, "branches.branches.0.0.0").relu()
    long = conv(long, "branches.branches.0.1.0", (0, 3)).relu()
    long = conv(long, "branches.branches.0.2.0", (3, 0)).relu()
    short = conv(x, "branches.branches.1.0").relu()
    joint = conv(torch.cat([long, short], 1), "joint.0")
    torch.testing.assert_close(block.eval()(x), (x + 0.3 * joint).relu(), rtol=1e-3, atol=1e-3)


def dropping(keep: float) -> PolyBlock:
    """A block in training whose norms have fixed statistics."""
    torch.manual_seed(0)
    block = PolyBlock(KINDS[0], keep)
    lived_in(block)
    block.training = True
    return block


@torch.no_grad()
def test_a_block_in_use_is_the_expectation_of_the_block_in_training() -> None:
    block = dropping(0.7)
    x = 100 + torch.randn(2, 384, 3, 3)  # far from the ReLU's corner, where the expectation commutes with it
    outputs = [block(x) for _ in range(40)]
    dropped = [out for out in outputs if torch.equal(out, x)]
    kept = [out for out in outputs if not torch.equal(out, x)]
    assert dropped
    assert all(torch.equal(out, kept[0]) for out in kept), "one number for the batch, and nothing else is random"
    torch.testing.assert_close(block.eval()(x), 0.7 * kept[0] + 0.3 * dropped[0], rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_blocks_are_kept_at_their_rate_and_the_same_ones_with_a_seed() -> None:
    block, x = dropping(0.8), torch.rand(1, 384, 1, 1)

    def pattern(draws: int) -> list[bool]:
        torch.manual_seed(5)
        return [not torch.equal(block(x), x) for _ in range(draws)]

    kept = pattern(1000)
    assert abs(sum(kept) / 1000 - 0.8) < 4 * (0.8 * 0.2 / 1000) ** 0.5
    assert pattern(100) == kept[:100]


@torch.no_grad()
def test_compiled_it_is_one_graph_that_drops_blocks_as_well() -> None:
    block, x = dropping(0.5), torch.rand(1, 384, 1, 1)
    compiled = torch.compile(block, backend="eager", fullgraph=True)
    block.keep = 1.0
    whole = PolyBlock.forward(block, x)
    block.keep = 0.5
    torch.manual_seed(0)
    found = [compiled(x) for _ in range(40)]
    same = [torch.equal(out, x) for out in found]
    assert 5 < sum(same) < 35
    assert all(known or torch.allclose(out, whole) for out, known in zip(found, same, strict=True))


def test_the_raw_feature_is_taken_before_the_last_norm_and_trained_behind_it() -> None:
    torch.manual_seed(0)
    normed, raw = (PolyFace([0, 0, 0], 16, dropout=0.0, feature=f) for f in ("normed", "raw"))
    raw.load_state_dict(normed.state_dict())
    crops = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(raw(crops), normed(crops))
    assert raw.features.running_mean is not None
    assert raw.features.running_var is not None
    statistics = raw.features.running_mean, raw.features.running_var
    with torch.no_grad():
        feature = raw.eval()(crops)
        torch.testing.assert_close(
            normed.eval()(crops), (feature - statistics[0]) / torch.sqrt(statistics[1] + 2e-5), rtol=1e-4, atol=1e-4
        )


def test_norms_have_the_authors_epsilons() -> None:
    with torch.device("meta"):
        network = PolyFace([1, 1, 1], 16)
    eps = {name: m.eps for name, m in network.named_modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)}
    assert {eps.pop("norm"), eps.pop("features")} == {2e-5}
    assert set(eps.values()) == {1e-10}


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="3 block counts of 0 or more"):
        PolyFace([1, 1])
    with pytest.raises(ValueError, match=r"keep is 0; expected a rate above 0, at most 1"):
        PolyFace([1, 1, 1], keep=0)
    with pytest.raises(ValueError, match="expected normed or raw"):
        PolyFace([1, 1, 1], feature="unit")  # pyright: ignore[reportArgumentType]
