"""The Trojans' EfficientPolyFace gives its own embeddings here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from reference.public_polyface import EfficientPolyFace
from reference.public_weights import POLYFACE, assert_same, opened, saved, used
from teachers.layouts.polyface import POLYFACE_LAYOUTS
from teachers.polyface import PolyFace

(TROJANS,) = POLYFACE_LAYOUTS


def bgr(rgb: Tensor) -> Tensor:
    """Their network does the rest itself."""
    return rgb[:, [2, 1, 0]]


@pytest.mark.slow
def test_public_embeddings(tmp_path: Path) -> None:
    blocks = [2, 1, 2]
    public = used(EfficientPolyFace(blocks, embedding_dim=16), gain="relu")
    wrapped = lambda s: {"state_dict": {f"module.base.{k}": v for k, v in s.items()}, "epoch": 3}  # noqa: E731
    teacher = opened({**POLYFACE, "blocks": blocks}, "trojans", saved(public, tmp_path / "ckpt.pth.tar", wrapped))
    assert teacher.embedding_dim == 16
    assert_same(teacher, public, bgr)


@pytest.mark.parametrize("blocks", [[23, 38, 23], [20, 30, 20], [10, 20, 10]])
def test_each_weight_has_one_name_there_and_back(blocks: list[int]) -> None:
    with torch.device("meta"):
        public = {name: tuple(value.shape) for name, value in EfficientPolyFace(blocks).state_dict().items()}
        seen = TROJANS.read(public)
        assert seen is not None
        ours = PolyFace(**seen.options)
    assert seen.options["embedding_dim"] == 256
    names = TROJANS.names(seen.options)
    there = {
        names.theirs(key): tuple(value.shape) for key, value in ours.state_dict().items() if key not in names.absent
    }
    assert there == public


def test_the_size_is_the_published_one() -> None:
    with torch.device("meta"):
        public = EfficientPolyFace([23, 38, 23])
    assert round(sum(p.numel() for p in public.parameters()) / 1e6, 1) == 119.9
