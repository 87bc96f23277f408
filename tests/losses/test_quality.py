"""The von Mises-Fisher likelihood against two slow references, and what the quality term may and may not move."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from distill.errors import UserError
from distill.losses.base import Loss
from distill.losses.quality import Quality, _debye, log_density_ratio, von_mises_fisher
from distill.types import LossDims, LossInputs, Output
from reference import quality as reference

KAPPAS = (0.0, 1e-3, 1.0, 30.0, 355.0, 2500.0, 9000.0)


def ratio(kappa: float, dim: int, dtype: torch.dtype = torch.float32) -> float:
    return float(log_density_ratio(torch.tensor([kappa], dtype=dtype), dim))


@pytest.mark.parametrize("dim", [128, 512])
@pytest.mark.parametrize("kappa", KAPPAS)
def test_constant_is_that_of_the_power_series(kappa: float, dim: int):
    exact = reference.log_density_ratio(kappa, dim)
    assert ratio(kappa, dim, torch.float64) == pytest.approx(exact, rel=1e-9, abs=1e-8)
    assert ratio(kappa, dim) == pytest.approx(exact, rel=2e-6, abs=1e-6)


@pytest.mark.parametrize("order", [3.0, 63.0, 255.0])
def test_every_constant_of_the_series_is_that_of_its_recurrence(order: float):
    """In large dimensions the later terms are too small to show in a density."""
    t = torch.linspace(0, 1, 21, dtype=torch.float64)
    expected = [reference.debye(Fraction(float(one)), Fraction(order)) for one in t]
    torch.testing.assert_close(_debye(t, order), torch.tensor(expected, dtype=torch.float64), rtol=1e-14, atol=0)


@pytest.mark.parametrize(("dim", "kappa"), [(512, 100.0), (512, 1000.0), (64, 50.0), (8, 3.0), (8, 20.0)])
def test_density_integrates_to_one(dim: int, kappa: float):
    assert ratio(kappa, dim, torch.float64) == pytest.approx(-reference.log_mean_exponential(kappa, dim), abs=2e-4)


def test_least_where_the_mean_cosine_is_the_one_seen():
    """The mean cosine of kappa, by differences of the reference, is where the likelihood has its slope of zero."""
    for kappa in (40.0, 400.0, 4000.0):
        step = kappa * 1e-3
        higher, lower = (reference.log_density_ratio(k, 512) for k in (kappa + step, kappa - step))
        mean_cosine = -(higher - lower) / (2 * step)
        x = torch.tensor([kappa], dtype=torch.float64, requires_grad=True)
        von_mises_fisher(x, torch.tensor([mean_cosine], dtype=torch.float64), 512).backward()
        assert x.grad is not None
        assert abs(float(x.grad)) < 1e-6 / 512 * 10


def test_gradient():
    kappa = torch.tensor([0.5, 20.0, 300.0], dtype=torch.float64, requires_grad=True)
    cosine = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda k, c: von_mises_fisher(k, c, 64), (kappa, cosine))


def test_zero_knows_nothing_and_trust_pays_only_where_it_is_deserved():
    kappa, cosine = torch.tensor([0.0, 800.0, 800.0]), torch.tensor([0.7, 0.7, 0.1])
    nothing, deserved, undeserved = von_mises_fisher(kappa, cosine, 512).tolist()
    assert nothing == 0
    assert deserved < 0 < undeserved


def gradient(loss: Loss, step: LossInputs) -> Tensor:
    loss(step).sum().backward()
    found = step.student.embedding.grad
    assert found is not None
    return found


def test_moves_the_length_alone(sizes: LossDims, make_step: Callable[..., LossInputs]):
    step = make_step([0, 1, 2])
    found = gradient(Quality(sizes=sizes), step)
    direction = torch.nn.functional.normalize(step.student.embedding.detach())
    torch.testing.assert_close(found, (found * direction).sum(1, keepdim=True) * direction)
    assert (found.abs().sum(1) > 0).all()


def test_turns_the_embedding_where_it_is_asked_to(sizes: LossDims, make_step: Callable[..., LossInputs]):
    step = make_step([0, 1, 2])
    found = gradient(Quality(turns=True, sizes=sizes), step)
    direction = torch.nn.functional.normalize(step.student.embedding.detach())
    assert ((found - (found * direction).sum(1, keepdim=True) * direction).abs().sum(1) > 0).all()


def test_targets(sizes: LossDims, make_step: Callable[..., LossInputs]):
    """Towards the teacher's embedding, or the centre of the row's class: what the other one says does not matter."""
    step = make_step([4, 1])
    assert step.teacher is not None
    assert step.teacher_centres is not None
    teacher, centre = Quality("teacher", sizes=sizes), Quality("centre", sizes=sizes)
    assert (teacher.needs_teacher, teacher.needs_labels, teacher.needs_teacher_centres) == (True, False, False)
    assert (centre.needs_teacher, centre.needs_labels, centre.needs_teacher_centres) == (False, True, True)
    as_centres = LossInputs(step.labels, step.student, step.centres, Output(step.teacher_centres[step.labels]))
    torch.testing.assert_close(centre(step), teacher(as_centres))


@pytest.mark.parametrize("target", ["teacher", "centre"])
def test_sound(target, sizes: LossDims, sound: Callable[..., None]):
    sound(Quality(target, sizes=sizes), least=-10.0)
    sound(Quality(target, turns=True, adapter="project", sizes=sizes), least=-10.0)


def test_bad_options(sizes: LossDims):
    with pytest.raises(UserError, match="needs a teacher"):
        Quality(sizes=LossDims(512, None, 4))
    with pytest.raises(UserError, match="target is 'class'"):
        Quality("class", sizes=sizes)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match="has 4 dimensions; expected 8 or more"):
        Quality(sizes=LossDims(4, 4, 4))
    with pytest.raises(UserError, match="at least 2 identities"):
        Quality("centre", sizes=LossDims(512, 512, 0))
