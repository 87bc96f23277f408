from __future__ import annotations

import pytest
import torch
from torch import Tensor

from distill.errors import UserError
from distill.losses import base
from distill.types import LossDims, LossInputs, Output


class _Product(base.Loss):
    def per_sample(self, step: LossInputs) -> Tensor:
        return (step.student.embedding @ step.centres.T)[:, 0]


def test_autocast_is_off_within_a_term() -> None:
    step = LossInputs(torch.tensor([0]), Output(torch.full((1, 3), 1.001)), torch.full((2, 3), 1.001))
    with torch.autocast("cpu", torch.bfloat16):
        values = _Product()(step)
    assert values.dtype == torch.float32
    assert values.item() == pytest.approx(3 * 1.001**2, rel=1e-6)


def test_a_term_without_teacher_says_so() -> None:
    with pytest.raises(UserError, match=r"term Foo needs a teacher and there is none; choose teacher="):
        base.teacher_dim(LossDims(8, None, 4), "Foo")


def test_an_unknown_map_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"'stage9' of the student, which has stage1, stage2"):
        base.channels({"stage1": 4, "stage2": 8}, "stage9", "student", "Foo")
    with pytest.raises(UserError, match="which has none at all"):
        base.channels({}, "stage1", "teacher", "Foo")


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_positive(value: float) -> None:
    with pytest.raises(UserError, match="expected a positive number"):
        base.require_positive("Foo", "scale", value)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_within(value: float) -> None:
    with pytest.raises(UserError, match="expected a number from 0 to 1"):
        base.require_within("Foo", "margin", value, (0, 1))


def test_a_margin_needs_two_classes() -> None:
    with pytest.raises(UserError, match="at least 2 identities; got 1"):
        base.require_classes(LossDims(8, None, 1), "Foo")
