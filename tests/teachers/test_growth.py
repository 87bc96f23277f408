"""A deeper network begins as a shallower one, in every family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from distill.errors import UserError
from teachers.attention import AttentionNet
from teachers.efficientnet import EfficientNet
from teachers.growth import Growable, grow_into
from teachers.iresnet import IResNet
from teachers.polyface import PolyFace
from teachers.weights import WeightFile

Build = Callable[..., Growable]


def resnet(units: list[int], **options: object) -> IResNet:
    return IResNet(units, embedding_dim=16, **options)  # pyright: ignore[reportArgumentType]


def attention(modules: list[int], units: str = "ir_se") -> AttentionNet:
    return AttentionNet(modules, units, embedding_dim=16)  # pyright: ignore[reportArgumentType]


def poly(blocks: list[int]) -> PolyFace:
    return PolyFace(blocks, embedding_dim=16, keep=1.0)


def efficient(depth: float) -> EfficientNet:
    return EfficientNet(0.5, depth, "b0", embedding_dim=16)


FAMILIES = {
    "basic": (lambda: resnet([1, 2, 1, 1]), lambda: resnet([2, 2, 3, 3]), "layer3.2.bn3.weight"),
    "with gates": (lambda: resnet([1, 1, 1, 1], se=True), lambda: resnet([1, 1, 2, 1], se=True), "layer3.1.bn3.weight"),
    "FaceX-Zoo": (
        lambda: resnet([1, 1, 1, 1], dialect="facexzoo"),
        lambda: resnet([2, 1, 1, 1], dialect="facexzoo"),
        "layer1.1.bn3.weight",
    ),
    "bottleneck": (
        lambda: resnet([1, 1, 1, 1], block="bottleneck"),
        lambda: resnet([1, 1, 3, 1], block="bottleneck"),
        "layer3.2.bn4.weight",
    ),
    "attention": (lambda: attention([0, 0, 1]), lambda: attention([0, 1, 2]), "stage2.1.mask.5.weight"),
    "attention of bottlenecks": (
        lambda: attention([0, 0, 0], "bottleneck"),
        lambda: attention([1, 0, 1], "bottleneck"),
        "stage3.1.first.conv3.weight",
    ),
    "polyface": (lambda: poly([1, 1, 0]), lambda: poly([2, 2, 1]), "stage3.1.joint.1.weight"),
    "efficient": (lambda: efficient(0.5), lambda: efficient(1.0), "rows.1.1.body.8.weight"),
}
families = pytest.mark.parametrize(("shallow", "deep", "new"), FAMILIES.values(), ids=FAMILIES)


def lived(network: Growable) -> Growable:
    """Weights and statistics that are none of a fresh network's, of a size that keeps its maps alive."""
    torch.manual_seed(3)
    for name, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        if name.endswith("running_mean"):
            value.copy_(0.1 * torch.randn_like(value))
        elif value.ndim == 1:
            value.copy_(0.5 + 0.5 * torch.rand_like(value))
        else:
            value.copy_(torch.randn_like(value) / value[0].numel() ** 0.5)
    return network.eval()


def weights_of(network: nn.Module) -> WeightFile:
    return WeightFile(Path("shallow.safetensors"), {k: v.clone() for k, v in network.state_dict().items()})


@torch.no_grad()
@families
def test_a_grown_network_has_the_outputs_of_the_shallow_one(shallow: Build, deep: Build, new: str) -> None:
    small, large = lived(shallow()), deep().eval()
    crops = torch.randn(2, 3, 112, 112)
    expected = small(crops)
    assert expected.std() > 1e-2
    assert not torch.allclose(large(crops), expected, rtol=1e-2)
    grow_into(large, weights_of(small))
    torch.testing.assert_close(large(crops), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert new in large.state_dict().keys() - small.state_dict().keys()


@families
def test_new_blocks_learn(shallow: Build, deep: Build, new: str) -> None:
    large = deep()
    grow_into(large, weights_of(lived(shallow())))
    large.train()(torch.randn(2, 3, 64, 64)).square().sum().backward()
    grad = dict(large.named_parameters())[new].grad
    assert grad is not None
    assert grad.abs().max() > 0


def test_growth_in_two_steps_is_growth_in_one() -> None:
    first = lived(attention([0, 1, 0]))
    between, once, twice = attention([0, 1, 1]), attention([0, 2, 2]), attention([0, 2, 2])
    grow_into(between, weights_of(first))
    grow_into(twice, weights_of(between))
    grow_into(once, weights_of(first))
    for name in ("stage4.0.bn1.running_var", "stage3.0.downsample.1.running_mean"):
        torch.testing.assert_close(twice.state_dict()[name], once.state_dict()[name])


def test_weights_below_a_prefix_grow_as_well() -> None:
    shallow = lived(resnet([1, 1, 1, 1]))
    wrapped = WeightFile(Path("x"), {f"module.{k}": v for k, v in shallow.state_dict().items()})
    deep = resnet([1, 1, 2, 1])
    grow_into(deep, wrapped)
    torch.testing.assert_close(deep.fc.weight, shallow.state_dict()["fc.weight"])


def test_a_first_stage_with_an_added_mask_cannot_grow() -> None:
    """It adds 1.5 where the others multiply, and no norm behind it takes that out."""
    shallow = AttentionNet([0, 0, 0], embedding_dim=16, added_mask=True)
    grow_into(AttentionNet([0, 0, 1], embedding_dim=16, added_mask=True), weights_of(shallow))
    with pytest.raises(UserError, match="added_mask=true"):
        grow_into(AttentionNet([1, 0, 0], embedding_dim=16, added_mask=True), weights_of(shallow))


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
        grow_into(resnet([1, 1, 2, 1]), weights_of(shallow))
    assert named in str(caught.value)


def test_a_weight_missing_from_a_block_that_both_have_is_named() -> None:
    tensors = dict(lived(resnet([1, 1, 1, 1])).state_dict())
    del tensors["layer2.0.conv1.weight"]
    with pytest.raises(UserError, match=r"1 keys are missing \(layer2\.0\.conv1\.weight\)"):
        grow_into(resnet([1, 1, 2, 1]), WeightFile(Path("cut.safetensors"), tensors))
