from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from distill.errors import UserError
from distill.losses import relation
from distill.losses.base import Loss
from distill.losses.relation import RelationalAngle, RelationalDistance
from distill.types import LossDims, LossInputs, Output
from reference import relation as reference

GAPS = [relation.distance_gap, relation.angle_gap]


def _draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@pytest.mark.parametrize("delta", [0.1, 1.0])
def test_agrees_with_loops(delta: float) -> None:
    s, t = _draw(6, 5), _draw(6, 3, seed=1)
    a, b = s.numpy(), t.numpy()
    np.testing.assert_allclose(relation.distance_gap(s, t, delta), reference.distance_gap(a, b, delta), rtol=1e-10)
    np.testing.assert_allclose(relation.angle_gap(s, t, delta), reference.angle_gap(a, b, delta), rtol=1e-10)


@pytest.mark.parametrize("gap", GAPS)
def test_gradient(gap: Callable[..., torch.Tensor]) -> None:
    assert torch.autograd.gradcheck(gap, (_draw(4, 5).requires_grad_(), _draw(4, 3, seed=1)))


@pytest.mark.parametrize("gap", GAPS)
def test_rotated_scaled_and_widened_copies_are_equal(gap: Callable[..., torch.Tensor]) -> None:
    x = _draw(7, 4)
    wider = torch.cat([x, torch.zeros(7, 3, dtype=x.dtype)], 1)
    copy = 3 * wider @ torch.linalg.qr(_draw(7, 7, seed=2))[0]
    torch.testing.assert_close(gap(copy, x), torch.zeros(7, dtype=x.dtype), atol=1e-12, rtol=0)
    assert (gap(x, _draw(7, 4, seed=3)) > 0).all()


def test_distances_and_angles_are_free_of_translation() -> None:
    s, t = _draw(5, 4), _draw(5, 4, seed=1)
    for gap in (relation.distance_gap, relation.angle_gap):
        torch.testing.assert_close(gap(s + 2, t - 1), gap(s, t))


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("rows", [1, 2])
def test_too_few_rows_for_a_relation_are_zero(gap: Callable[..., torch.Tensor], rows: int) -> None:
    x = torch.randn(rows, 4, requires_grad=True)
    values = gap(x, torch.randn(rows, 3))
    assert values.shape == (rows,)
    if rows == 1 or gap is relation.angle_gap:
        assert values.tolist() == [0] * rows
    values.sum().backward()


@pytest.mark.parametrize(
    "build",
    [
        lambda s: RelationalDistance(sizes=s),
        lambda s: RelationalDistance(normalise=False, sizes=s),
        lambda s: RelationalAngle(sizes=s),
        lambda s: RelationalAngle(normalise=False, sizes=s),
    ],
)
def test_sound(build: Callable[[LossDims], Loss], sizes: LossDims, sound: Callable[[Loss], None]) -> None:
    sound(build(sizes))


@pytest.mark.parametrize("kind", [RelationalDistance, RelationalAngle])
def test_duplicates_and_zero_rows_have_bounded_gradients(kind: type[Loss], sizes: LossDims) -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 12)
    x[1] = x[0]
    x[2] = 0
    x[3] = x[0] * (1 + 1e-6)
    x.requires_grad_()
    step = LossInputs(torch.zeros(6, dtype=torch.int64), Output(x), torch.empty(0, 12), Output(torch.randn(6, 6)))
    loss = kind(sizes=sizes)(step)  # type: ignore[call-arg]
    loss.sum().backward()
    assert loss.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad.abs().max() < 100


def test_normalised_terms_ignore_norms(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    step = make_step([0, 1, 2, 3])
    norms = torch.tensor([[1.0], [5.0], [0.1], [30.0]])
    scaled = LossInputs(step.labels, Output(step.student.embedding * norms), step.centres, step.teacher)
    for loss in (RelationalDistance(sizes=sizes), RelationalAngle(sizes=sizes)):
        torch.testing.assert_close(loss(scaled), loss(step))
    raw = RelationalDistance(normalise=False, sizes=sizes)
    assert not torch.allclose(raw(scaled), raw(step), rtol=0.1)


def test_bad_options(sizes: LossDims) -> None:
    with pytest.raises(UserError, match="delta is 0; expected a positive number"):
        RelationalDistance(delta=0, sizes=sizes)
    with pytest.raises(UserError, match="RelationalDistance needs a teacher"):
        RelationalDistance(sizes=LossDims(8, None, 4))
