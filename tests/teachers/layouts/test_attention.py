"""Attention networks of FaceX-Zoo and cavaface give their own embeddings here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from distill.errors import UserError
from reference.public_attention import CavafaceAttention, FaceXZooAttention, ModuleStage1
from reference.public_weights import ATTENTION, assert_same, opened, saved, used
from teachers.attention import AttentionNet
from teachers.layouts.attention import ATTENTION_LAYOUTS
from teachers.layouts.layout import Layout

FACEXZOO, CAVAFACE = ATTENTION_LAYOUTS


def bgr_128(rgb: Tensor) -> Tensor:
    return (rgb[:, [2, 1, 0]] - 127.5) / 128


def rgb_127(rgb: Tensor) -> Tensor:
    return (rgb / 255 - 0.5) / 0.5


@pytest.mark.slow
def test_bottlenecks_of_facexzoo(tmp_path: Path) -> None:
    modules = [1, 2, 1]
    public = used(FaceXZooAttention(modules, embedding_dim=16))
    path = saved(public, tmp_path / "x.pt", lambda s: {"state_dict": {f"backbone.{k}": v for k, v in s.items()}})
    teacher = opened({**ATTENTION, "modules": modules}, "facexzoo", path)
    assert_same(teacher, public, bgr_128)


@pytest.mark.parametrize(
    ("modules", "se"), [([1, 2, 1], False), pytest.param([1, 1, 2], True, marks=pytest.mark.slow), ([2, 0, 0], True)]
)
def test_ir_units_of_cavaface(modules: list[int], se: bool, tmp_path: Path) -> None:
    public = used(CavafaceAttention(modules, se, embedding_dim=16))
    path = saved(public, tmp_path / "x.pth", lambda s: {f"module.{k}": v for k, v in s.items()})
    teacher = opened({**ATTENTION, "modules": modules}, "cavaface", path)
    assert_same(teacher, public, rgb_127)


def test_the_added_mask_of_cavaface_is_seen_in_the_embedding(tmp_path: Path) -> None:
    modules = [1, 0, 0]
    public = used(CavafaceAttention(modules, False, embedding_dim=16))
    teacher = opened({**ATTENTION, "modules": modules}, "cavaface", saved(public, tmp_path / "x.pth"))
    module = public.get_submodule("attention_module1")
    assert isinstance(module, ModuleStage1)
    module.adds = False
    with pytest.raises(AssertionError, match="not close"):
        assert_same(teacher, public, rgb_127)


@pytest.mark.parametrize(("modules", "millions"), [([1, 1, 1], 98.96), ([1, 2, 3], 134.56)])
def test_sizes_of_facexzoo(modules: list[int], millions: float) -> None:
    with torch.device("meta"):
        public = FaceXZooAttention(modules)
    assert round(sum(p.numel() for p in public.parameters()) / 1e6, 2) == millions


def test_size_of_cavafaces_92() -> None:
    with torch.device("meta"):
        public, ours = CavafaceAttention([1, 2, 3], se=True), AttentionNet([1, 2, 3])
    assert round(sum(p.numel() for p in public.parameters()) / 1e6, 2) == 55.42
    learned = {name for name, p in ours.named_parameters() if p.requires_grad}
    # cavaface's last norm has no offset
    assert sum(p.numel() for p in public.parameters()) == sum(
        p.numel() for name, p in ours.named_parameters() if name in learned - {"features.bias"}
    )


def _shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


@pytest.mark.parametrize(
    ("layout", "public"),
    [
        (FACEXZOO, lambda: FaceXZooAttention([3, 4, 4])),
        (FACEXZOO, lambda: FaceXZooAttention([0, 1, 0])),
        (CAVAFACE, lambda: CavafaceAttention([3, 4, 4], True)),
        (CAVAFACE, lambda: CavafaceAttention([1, 2, 3], False)),
    ],
)
def test_each_weight_has_one_name_there_and_back(layout: Layout, public) -> None:
    with torch.device("meta"):
        theirs = _shapes(public())
        seen = layout.read(theirs)
        assert seen is not None
        ours = AttentionNet(**seen.options)
    names = layout.names(seen.options)
    there = {
        names.theirs(key): tuple(value.shape) for key, value in ours.state_dict().items() if key not in names.absent
    }
    assert there == {key: shape for key, shape in theirs.items() if key in there or not names.ignores(key)}
    unread = theirs.keys() - there.keys()
    assert all(key.endswith(".conv4.weight") for key in unread)
    assert bool(unread) == (layout is FACEXZOO)


def test_another_depth_is_named_with_what_loads_it(tmp_path: Path) -> None:
    with torch.device("meta"):
        state = FaceXZooAttention([1, 2, 3]).state_dict()
    # what stands in the tensors is of no matter for a refusal
    path = tmp_path / "x.pth"
    torch.save({f"backbone.{k}": torch.zeros(()).expand(v.shape) for k, v in state.items()}, path)
    with pytest.raises(UserError) as caught:
        opened({**ATTENTION, "modules": [3, 4, 4]}, "facexzoo", path)
    assert str(caught.value) == (
        f"{path} looks like FaceX-Zoo's attention-92, and teacher.network.modules is [3, 4, 4]; "
        "use teacher=attention92 teacher.layout=facexzoo"
    )
