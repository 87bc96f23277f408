"""A student with a quality head: its direction and length, what learns, and what it costs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from distill.config.build import build
from distill.config.compose import load
from distill.export.onnx_file import export_onnx
from distill.export.parity import parity, random_images
from distill.students.frame_quality import CropQuality, FrameQuality, ResidualQuality
from distill.students.quality import LEAST, Learning, MapQuality, QualityEstimate, WithQuality, concentration
from distill.students.vargnet import VarGNet
from reference.torch_counter import torch_cost

WIDTHS = [8, 16, 16, 24]


def small(learning: Learning = "apart", quality: QualityEstimate | None = None) -> WithQuality:
    torch.manual_seed(0)
    recogniser = VarGNet(WIDTHS, [2, 1, 2], last_channels=16, embedding_dim=12)
    maps = [f"stage{i}" for i in (1, 2, 3, 4)]
    network = WithQuality(recogniser, quality or MapQuality(maps, WIDTHS, 6), learning)
    torch.nn.init.normal_(network.quality.last.weight)  # pyright: ignore
    return network


SMALL_RESIDUAL = ResidualQuality((1, 1, 1, 2), (4, 8, 8, 8))


@pytest.mark.parametrize("quality", [None, CropQuality((4, 8, 8, 8)), SMALL_RESIDUAL])
def test_direction_is_the_recognisers_and_length_the_quality(quality: QualityEstimate | None):
    network, crops = small(quality=quality).eval(), torch.randn(5, 3, 112, 112)
    found, alone = network.forward_maps(crops), network.recogniser.forward_maps(crops)
    torch.testing.assert_close(normalize(found.embedding), normalize(alone.embedding))
    kappa = found.embedding.norm(dim=1)
    torch.testing.assert_close(kappa, 12 * network.quality(crops, alone.maps)[:, 0])
    assert len(set(kappa.tolist())) == 5
    assert found.maps.keys() == alone.maps.keys()


@pytest.mark.parametrize("quality", [MapQuality(["stage4"], [24], 6), CropQuality(), ResidualQuality()])
def test_begins_with_the_same_length_for_all(quality: QualityEstimate):
    network = WithQuality(VarGNet(WIDTHS, [1, 1, 1], 16, 12), quality)
    lengths = network(torch.randn(4, 3, 112, 112)).norm(dim=1)
    torch.testing.assert_close(lengths, torch.full((4,), 12 * (LEAST + 0.5)))


def test_concentration_is_squareplus_and_never_loses_its_slope():
    x = torch.tensor([-1e4, -100.0, -3.0, 0.0, 2.0, 500.0], requires_grad=True)
    found = concentration(x)
    exact = [LEAST + (v + (v * v + 1) ** 0.5) / 2 for v in x.double().tolist()]
    torch.testing.assert_close(found.double(), torch.tensor(exact, dtype=torch.float64), rtol=1e-6, atol=1e-7)
    found.sum().backward()
    assert x.grad is not None
    assert (x.grad >= 0.2 / (x.detach() ** 2 + 1)).all(), "what went too far has a way back"


def gradients(network: WithQuality | VarGNet, of_length: bool) -> dict[str, torch.Tensor]:
    """Of the recogniser's weights, for a loss on the embedding's length or on its direction; those that matter."""
    embedding = network(torch.randn(4, 3, 112, 112, generator=torch.Generator().manual_seed(1)))
    (embedding.norm(dim=1).sum() if of_length else normalize(embedding)[:, 0].sum()).backward()
    recogniser = network.recogniser if isinstance(network, WithQuality) else network
    found = {name: p.grad for name, p in recogniser.named_parameters() if p.grad is not None}
    return {name: gradient for name, gradient in found.items() if gradient.abs().max() > 1e-4}


def test_apart_a_recogniser_learns_as_it_would_alone():
    assert not gradients(small("apart"), of_length=True)
    alone = small().recogniser
    assert isinstance(alone, VarGNet)
    expected, found = gradients(alone, of_length=False), gradients(small("apart"), of_length=False)
    assert found.keys() == expected.keys()
    assert len(found) > 20
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6)


def test_together_the_quality_moves_the_recogniser():
    assert gradients(small("together"), of_length=True)


def test_frozen_nothing_of_the_recogniser_moves():
    network = small("frozen")
    before = {name: value.clone() for name, value in network.recogniser.state_dict().items()}
    network(torch.randn(4, 3, 112, 112)).norm(dim=1).sum().backward()
    assert all(p.grad is None for p in network.recogniser.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.recogniser.state_dict().items())
    assert network.quality.training


@pytest.mark.parametrize("name", ["vargnet_quality", "vargnet_frame_quality"])
def test_shipped_students_fit_the_light_limits(name: str):
    options = load("distill", [f"student={name}"]).student.network
    with torch.device("meta"):
        network = build(options, "student.network")
    cost, alone = torch_cost(network), torch_cost(network.recogniser)
    assert alone.flops < cost.flops <= 1_000_000_000 - 2_310_968  # what folding adds to vargnet (docs/students.md)
    assert 4 * (cost.parameters - cost.norm_statistics // 2) < 20_000_000 - 100_000


def test_the_trojans_network_costs_what_layer_arithmetic_says():
    """Convolutions 3x3 and 1x1 without bias; the first of a block at the side of its input."""
    widths, side = (8, 16, 32, 48), 112
    convolutions = [(3, 8, 9, side)]
    norms, slopes = [8], 1
    for cin, cout in zip((8, 8, 16, 32), widths, strict=True):
        half = side // 2
        convolutions += [(cin, cout, 9, side), (cout, cout, 9, half), (cin, cout, 1, half)]
        convolutions += [(cout, cout, 9, half)] * 2
        norms += [cin, cout, cout, cout, cout, cout, cout]
        slopes, side = slopes + 4, half
    weights = sum(cin * cout * taps for cin, cout, taps, _ in convolutions) + 48
    flops = sum((2 * cin * taps - 1) * cout * px**2 for cin, cout, taps, px in convolutions) + 2 * 48 - 1
    cost = torch_cost(ResidualQuality().to("meta"))
    assert (cost.parameters, cost.flops) == (weights + 2 * sum(norms) + slopes, flops)
    assert round(cost.parameters / 1e6, 2) == 0.12
    assert round(cost.flops / 1e9, 3) == 0.079


def test_the_trojans_network_learns_in_the_memory_layout_of_training():
    """A strided 1x1 convolution of its 8 channels would end the process here."""
    crops = torch.randn(2, 3, 112, 112).contiguous(memory_format=torch.channels_last)
    network = ResidualQuality().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    network(crops).sum().backward()
    assert network.last.weight.grad is not None
    assert network.last.weight.grad.abs().sum() > 0


@pytest.mark.slow
@pytest.mark.parametrize("quality", [CropQuality(), SMALL_RESIDUAL])
def test_separate_network_is_a_file_of_its_own(quality: FrameQuality, tmp_path: Path):
    quality = quality.eval()
    torch.nn.init.normal_(quality.last.weight)  # pyright: ignore
    path = tmp_path / "frame_quality.onnx"
    export_onnx(quality, path, {}, 18)
    parity(quality, path, random_images(8)).require(1e-4, 1e-5)
    assert path.stat().st_size < 30_000


def test_impossible_options_are_refused():
    recogniser = VarGNet(WIDTHS, [1, 1, 1], 16, 12)
    with pytest.raises(ValueError, match="learning is 'never'"):
        WithQuality(recogniser, CropQuality(), "never")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="channels for each of its maps"):
        MapQuality(["stage4"], [8, 8])
    with pytest.raises(ValueError, match="4 widths"):
        CropQuality((8, 8))
    with pytest.raises(ValueError, match="4 unit counts of 1 or more and 4 widths"):
        ResidualQuality((2, 2, 0, 2))
