"""A small training step, and checks that every term is put to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from distill.losses.base import Loss
from distill.types import LossDims, LossInputs, Output

CLASSES, STUDENT, TEACHER = 7, 12, 6


@pytest.fixture
def sizes() -> LossDims:
    """A student twice as wide as its teacher."""
    return LossDims(STUDENT, TEACHER, CLASSES, {"stage3": 5, "stage4": 8}, {"stage3": 3, "stage4": 4})


@pytest.fixture
def make_step() -> Callable[..., LossInputs]:
    """``make_step(labels, dtype=..., seed=...)``: random embeddings, maps and centres; the student's want gradients."""

    def make(labels: list[int], dtype: torch.dtype = torch.float32, seed: int = 0) -> LossInputs:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

        k = len(labels)
        maps = {"stage3": draw(k, 5, 8, 8).requires_grad_(), "stage4": draw(k, 8, 4, 4).requires_grad_()}
        student = Output(draw(k, STUDENT).requires_grad_(), maps)
        teacher = Output(draw(k, TEACHER), {"stage3": draw(k, 3, 8, 8), "stage4": draw(k, 4, 4, 4)})
        centres = draw(CLASSES, STUDENT).requires_grad_()
        return LossInputs(torch.tensor(labels, dtype=torch.int64), student, centres, teacher, draw(CLASSES, TEACHER))

    return make


@pytest.fixture
def sound(make_step: Callable[..., LossInputs]) -> Callable[..., None]:
    """What holds for every term: precision, finite gradients, no rows, the order of the rows; no value below least."""

    def check(loss: Loss, least: float = 0.0) -> None:
        loss.eval()
        _check_autocast(loss, make_step([0, 3, 3, 6, 1], dtype=torch.bfloat16), least)
        _check_empty(loss, make_step([]))
        _check_order(loss, make_step([0, 3, 3, 6, 1]))

    return check


def _check_autocast(loss: Loss, step: LossInputs, least: float) -> None:
    """bf16 tensors under autocast give what the same numbers give in float32."""
    with torch.autocast("cpu", torch.bfloat16):
        values = loss(step)
    assert values.dtype == torch.float32
    assert values.shape == step.labels.shape
    assert (values >= least).all()
    widened = LossInputs(
        step.labels,
        _float(step.student),
        step.centres.detach().float(),
        _float(step.teacher),
        None if step.teacher_centres is None else step.teacher_centres.float(),
    )
    torch.testing.assert_close(values, loss(widened))
    values.sum().backward()
    leaves = [step.student.embedding, *step.student.maps.values()]
    gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() and gradient.abs().sum() > 0 for gradient in gradients)


def _float(output: Output | None) -> Output:
    assert output is not None
    return Output(output.embedding.detach().float(), {name: m.float() for name, m in output.maps.items()})


def _check_empty(loss: Loss, step: LossInputs) -> None:
    values = loss(step)
    assert values.shape == (0,)
    values.sum().backward()


def _check_order(loss: Loss, step: LossInputs) -> None:
    rows = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(loss(step.pick(rows)), loss(step)[rows])
