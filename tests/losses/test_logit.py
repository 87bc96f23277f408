from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from distill.errors import UserError
from distill.losses.base import Loss
from distill.losses.cosine import cosines
from distill.losses.logit import ClassCentreKL, kl
from distill.types import LossDims, LossInputs, Output
from reference import logit as reference

LABELS = [0, 3, 3, 6, 1]


def _logits(seed: int, factor: float = 3.0) -> torch.Tensor:
    return factor * torch.from_numpy(np.random.default_rng(seed).standard_normal((5, 7)))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_agrees_with_loops(temperature: float) -> None:
    s, t = _logits(0), _logits(1)
    expected = reference.kl(s.numpy(), t.numpy(), temperature)
    np.testing.assert_allclose(kl(s, t, temperature), expected, rtol=1e-10)


def test_gradients() -> None:
    s, t = _logits(0).requires_grad_(), _logits(1)
    assert torch.autograd.gradcheck(lambda x: kl(x, t, 2.0), (s,))


def test_zero_at_identity_up_to_a_shift_and_positive_elsewhere() -> None:
    s = _logits(0)
    torch.testing.assert_close(kl(s + 5, s, 4.0), torch.zeros(5, dtype=torch.float64))
    assert (kl(_logits(1), s, 4.0) > 0).all()


@pytest.mark.parametrize("temperature", [0.1, 4.0])
def test_sharp_logits_are_finite(temperature: float) -> None:
    s, t = _logits(0, 1e3).float().requires_grad_(), _logits(1, 1e3).float()
    loss = kl(s, t, temperature)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert s.grad is not None
    assert s.grad.isfinite().all()


@pytest.mark.parametrize(
    "build",
    [
        lambda s: ClassCentreKL(sizes=s),
        lambda s: ClassCentreKL(centres="teacher", sizes=s),
        lambda s: ClassCentreKL(centres="teacher", adapter="project", teacher_scale=20.0, sizes=s),
    ],
)
def test_sound(build: Callable[[LossDims], Loss], sizes: LossDims, sound: Callable[[Loss], None]) -> None:
    sound(build(sizes))


def test_scales_and_centres_reach_the_formula(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    step = make_step(LABELS)
    assert step.teacher is not None
    assert step.teacher_centres is not None
    student = cosines(step.student.embedding, step.centres)
    teacher = cosines(step.teacher.embedding, step.teacher_centres)
    got = ClassCentreKL(temperature=3.0, scale=10.0, teacher_scale=20.0, sizes=sizes)(step)
    torch.testing.assert_close(got, kl(10 * student, 20 * teacher, 3.0))
    assert torch.equal(ClassCentreKL(scale=9.0, sizes=sizes)(step), kl(9 * student, 9 * teacher, 4.0))


def test_a_student_at_the_lifted_teacher_has_the_teachers_logits(
    sizes: LossDims, make_step: Callable[..., LossInputs]
) -> None:
    step, loss = make_step(LABELS), ClassCentreKL(centres="teacher", adapter="lift", sizes=sizes)
    assert step.teacher is not None
    adapter = loss.logits.adapter
    assert adapter is not None
    _, lifted = adapter(step.student.embedding, step.teacher.embedding)
    there = LossInputs(step.labels, Output(2 * lifted), torch.empty(0, 12), step.teacher, step.teacher_centres)
    torch.testing.assert_close(loss(there), torch.zeros(5), atol=1e-4, rtol=0)


def test_needs(sizes: LossDims) -> None:
    own, theirs = ClassCentreKL(sizes=sizes), ClassCentreKL(centres="teacher", sizes=sizes)
    assert (own.needs_centres, theirs.needs_centres) == (True, False)
    assert own.needs_teacher
    assert own.needs_teacher_centres
    assert not own.needs_labels
    assert list(own.parameters()) == []


def test_unlabelled_images_take_part(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    known, unknown = make_step(LABELS), make_step([-1] * 5)
    loss = ClassCentreKL(sizes=sizes)
    assert torch.equal(loss(known), loss(unknown))


def test_bad_options(sizes: LossDims) -> None:
    with pytest.raises(UserError, match="temperature is 0; expected"):
        ClassCentreKL(temperature=0, sizes=sizes)
    with pytest.raises(UserError, match="centres is 'mine'; expected 'own' or 'teacher'"):
        ClassCentreKL(centres="mine", sizes=sizes)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="ClassCentreKL needs a teacher"):
        ClassCentreKL(sizes=LossDims(8, None, 4))
    with pytest.raises(UserError, match="scale is -1"):
        ClassCentreKL(scale=-1, sizes=sizes)
    with pytest.raises(UserError, match="at least 2 identities; got 0"):
        ClassCentreKL(sizes=LossDims(8, 8, 0))
