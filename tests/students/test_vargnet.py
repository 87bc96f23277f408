"""The published network to the digit, ours inside the limits, and what the blocks are made of."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from distill.config.compose import load
from distill.students.vargnet import Down, Normal, VarGNet
from reference.torch_counter import torch_cost


def shipped(name: str) -> VarGNet:
    conf = load("distill", [f"student={name}", "teacher=none", "data.root=-"]).student.network
    with torch.device("meta"):
        return VarGNet(**{k: v for k, v in conf.items() if k != "_target_"})


def test_vargfacenet_is_the_published_network():
    cost = torch_cost(shipped("vargfacenet"))
    assert cost.parameters == 5_198_292
    assert cost.norm_statistics == 41_744
    assert cost.macs == 512_593_440
    assert cost.flops == 1_022_864_152


@pytest.mark.parametrize(
    ("options", "parameters", "macs", "flops"),
    [
        ({"se_reduction": None}, 4_957_512, 512_355_840, 1_022_388_952),
        ({"widths": [32, 64, 128, 256]}, 3_948_432, 360_499_712, 719_084_376),
        ({"last_channels": 1280}, 5_742_676, 517_068_320, 1_031_801_240),
        ({"units": [3, 7, 3]}, 4_639_092, 487_956_000, 973_622_200),
        ({"widths": [40, 80, 160, 296]}, 4_895_544, 498_910_848, 995_510_728),
        ({"widths": [40, 80, 152, 304]}, 4_884_020, 486_084_320, 969_878_840),
        ({"units": [3, 6, 4]}, 5_033_892, 483_478_560, 964_703_384),
    ],
)
def test_variants_have_the_computed_counts(options, parameters, macs, flops):
    with torch.device("meta"):
        network = VarGNet(**{"widths": [40, 80, 160, 320], "units": [3, 7, 4], **options})
    cost = torch_cost(network)
    assert (cost.parameters, cost.macs, cost.flops) == (parameters, macs, flops)


def test_vargnet_fits_the_light_limits_before_export():
    network = shipped("vargnet")
    cost = torch_cost(network)
    folded_bytes = 4 * (cost.parameters - cost.norm_statistics // 2)
    assert cost.flops <= 1_000_000_000
    assert folded_bytes < 20_000_000 - 200_000, "too little is left for the file's graph"
    assert network.embedding_dim == 512


def test_maps_and_embedding_have_the_named_sizes():
    network = VarGNet([8, 16, 16, 24], [2, 1, 2], last_channels=16, embedding_dim=12).eval()
    out = network.forward_maps(torch.randn(2, 3, 112, 112))
    assert out.embedding.shape == (2, 12)
    sizes = {name: tuple(m.shape[1:]) for name, m in out.maps.items()}
    assert sizes == {"stage1": (8, 56, 56), "stage2": (16, 28, 28), "stage3": (16, 14, 14), "stage4": (24, 7, 7)}
    assert {n: s[0] for n, s in sizes.items()} == network.map_channels


def test_every_3x3_has_eight_channels_in_a_group_and_no_bias():
    network = shipped("vargfacenet")
    grouped = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1) and m.groups > 1]
    assert {m.in_channels // m.groups for m in grouped} == {8}
    assert {(m.kernel_size, m.bias) for m in grouped} == {((3, 3), None), ((7, 7), None)}


def test_norms_have_the_published_constants():
    norms = [m for m in shipped("vargfacenet").modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert {(m.eps, m.momentum, m.affine) for m in norms} == {(2e-5, 0.1, True)}


def test_a_normal_block_whose_body_is_silent_is_its_activation():
    block = Normal(16, 8, 4).eval()
    last_norm = list(block.body[1].children())[-1]
    assert isinstance(last_norm, nn.BatchNorm2d)
    nn.init.zeros_(last_norm.weight)
    x = torch.randn(2, 16, 6, 6)
    assert torch.equal(block(x), block.act(x))


def test_down_block_is_the_formula():
    block = Down(8, 16, 8).eval()
    x = torch.randn(2, 8, 8, 8)
    inner = block.inner(block.left(x) + block.right(x))
    assert torch.equal(block(x), block.act(block.refine(inner) + block.shortcut(x)))


@pytest.mark.parametrize(
    "wrong", [{"widths": [40, 80, 160], "units": [3, 7, 4]}, {"widths": [42, 80, 160, 320], "units": [3, 7, 4]}]
)
def test_impossible_shapes_are_refused(wrong):
    with pytest.raises(ValueError, match="VarGNet"):
        VarGNet(**wrong)
