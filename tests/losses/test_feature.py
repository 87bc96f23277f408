from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from distill.errors import UserError
from distill.losses import feature
from distill.losses.base import Loss
from distill.losses.feature import AttentionTransfer, EmbeddingCosine, MapHint
from distill.types import LossDims, LossInputs, Output
from reference import feature as reference

PAIRS = [["stage3", "stage3"], ["stage4", "stage3"]]


def _maps(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def _call(function: Callable[..., torch.Tensor], *arrays: np.ndarray, **options: float) -> np.ndarray:
    return function(*(torch.from_numpy(a) for a in arrays), **options).numpy()


def test_embeddings_agree_with_loops() -> None:
    s, t = _maps(5, 6), _maps(5, 6, seed=1)
    np.testing.assert_allclose(_call(feature.cosine_gap, s, t), reference.cosine_gap(s, t), rtol=1e-12)
    np.testing.assert_allclose(_call(feature.unit_gap, s, t), 2 * reference.cosine_gap(s, t), rtol=1e-12)


def test_maps_agree_with_loops() -> None:
    s, t = _maps(3, 4, 6, 6), _maps(3, 4, 6, 6, seed=1)
    np.testing.assert_allclose(_call(feature.map_error, s, t), reference.map_error(s, t), rtol=1e-12)
    for power in (1.0, 2.0, 3.0):
        expected = reference.attention_gap(s, t, power)
        np.testing.assert_allclose(_call(feature.attention_gap, s, t, power=power), expected, rtol=1e-12)


def test_larger_map_is_pooled_to_the_smaller() -> None:
    large, small = _maps(3, 4, 6, 6), _maps(3, 4, 3, 3, seed=1)
    halved = reference.halve(large)
    np.testing.assert_allclose(_call(feature.map_error, large, small), reference.map_error(halved, small), rtol=1e-12)
    np.testing.assert_allclose(_call(feature.map_error, small, large), reference.map_error(small, halved), rtol=1e-12)


def test_attention_is_pooled_not_the_features() -> None:
    """A checkerboard of +-1 has attention everywhere; its pooled features have none."""
    board = torch.ones(1, 1, 4, 4)
    board[..., ::2, ::2] = board[..., 1::2, 1::2] = -1
    torch.testing.assert_close(feature.attention_gap(board, torch.ones(1, 1, 2, 2)), torch.zeros(1))


def test_gradients() -> None:
    s, t = torch.from_numpy(_maps(3, 4)).requires_grad_(), torch.from_numpy(_maps(3, 4, seed=1))
    for gap in (feature.cosine_gap, feature.unit_gap):
        assert torch.autograd.gradcheck(gap, (s, t))
    a, b = torch.from_numpy(_maps(2, 3, 4, 4)).requires_grad_(), torch.from_numpy(_maps(2, 3, 2, 2, seed=1))
    assert torch.autograd.gradcheck(feature.map_error, (a, b))
    assert torch.autograd.gradcheck(feature.attention_gap, (a, b))


@pytest.mark.parametrize("gap", [feature.cosine_gap, feature.unit_gap])
def test_zero_at_identity_and_nowhere_below(gap: Callable[..., torch.Tensor]) -> None:
    x = torch.randn(50, 16)
    assert gap(x, x).tolist() == [0.0] * 50
    assert (gap(x, torch.randn(50, 16)) > 0).all()


def test_bounds_and_scale() -> None:
    x = torch.randn(9, 16)
    torch.testing.assert_close(feature.cosine_gap(x, -3 * x), torch.full((9,), 2.0))
    torch.testing.assert_close(feature.unit_gap(5 * x, x), torch.zeros(9), atol=1e-10, rtol=0)


def test_map_error_is_one_for_zeros_and_free_of_scale() -> None:
    s, t = torch.randn(3, 4, 5, 5), torch.randn(3, 4, 5, 5)
    torch.testing.assert_close(feature.map_error(torch.zeros_like(t), t), torch.ones(3))
    torch.testing.assert_close(feature.map_error(30 * s, 30 * t), feature.map_error(s, t))
    assert feature.map_error(s, torch.zeros_like(t)).isfinite().all()


def test_attention_is_free_of_scale() -> None:
    s, t = torch.randn(3, 4, 5, 5), torch.randn(3, 2, 5, 5)
    torch.testing.assert_close(feature.attention_gap(9 * s, 0.3 * t), feature.attention_gap(s, t))
    torch.testing.assert_close(feature.attention_gap(s, 4 * s), torch.zeros(3))


@pytest.mark.parametrize(
    "build",
    [
        lambda s: EmbeddingCosine(sizes=s),
        lambda s: EmbeddingCosine("project", sizes=s),
        lambda s: MapHint("stage3", "stage4", sizes=s),
        lambda s: AttentionTransfer(PAIRS, sizes=s),
    ],
)
def test_sound(build: Callable[[LossDims], Loss], sizes: LossDims, sound: Callable[[Loss], None]) -> None:
    sound(build(sizes))


def test_lift_asks_for_the_teachers_cosines_at_full_width(
    sizes: LossDims, make_step: Callable[..., LossInputs]
) -> None:
    """A student that reaches the lifted teacher has loss 0; energy outside the teacher's subspace costs."""
    step, loss = make_step([0, 1, 2]), EmbeddingCosine("lift", sizes=sizes)
    assert step.teacher is not None
    _, lifted = loss.adapter(step.student.embedding, step.teacher.embedding)
    perfect = LossInputs(step.labels, Output(7 * lifted), step.centres, step.teacher)
    torch.testing.assert_close(loss(perfect), torch.zeros(3), atol=1e-6, rtol=0)
    outside = torch.randn(3, 12)
    _, basis = loss.adapter(outside, torch.eye(6))
    outside = outside - outside @ basis.T @ basis
    assert (loss(LossInputs(step.labels, Output(lifted + outside), step.centres, step.teacher)) > 0.01).all()


def test_project_learns_the_teacher_from_a_rotated_student(sizes: LossDims) -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 12)
    teacher = x @ torch.randn(12, 6)
    loss = EmbeddingCosine("project", sizes=sizes)
    optimiser = torch.optim.Adam(loss.parameters(), lr=0.1)
    step = LossInputs(torch.zeros(64, dtype=torch.int64), Output(x), torch.empty(0, 12), Output(teacher))
    for _ in range(100):
        optimiser.zero_grad()
        loss(step).mean().backward()
        optimiser.step()
    assert loss(step).mean() < 0.01


def test_each_pair_of_stages_counts_the_same(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    step = make_step([0, 1])
    each = [AttentionTransfer([pair], sizes=sizes)(step) for pair in PAIRS]
    both = AttentionTransfer(PAIRS, sizes=sizes)
    torch.testing.assert_close(both(step), (each[0] + each[1]) / 2)
    assert both.student_maps == ("stage3", "stage4")
    assert both.teacher_maps == ("stage3", "stage3")


def test_bad_options(sizes: LossDims) -> None:
    with pytest.raises(UserError, match="map 'stage9' of the teacher"):
        MapHint("stage3", "stage9", sizes=sizes)
    with pytest.raises(UserError, match="map 'stage9' of the student"):
        AttentionTransfer([["stage9", "stage3"]], sizes=sizes)
    for pairs in ([], ["stage3"], [["stage3"]]):
        with pytest.raises(UserError, match="expected \\[\\[student, teacher\\]"):
            AttentionTransfer(pairs, sizes=sizes)
    with pytest.raises(UserError, match="needs a teacher"):
        EmbeddingCosine(sizes=LossDims(8, None, 4))


@pytest.mark.parametrize(("power", "alone"), [(2.0, True), (1.0, False), (3.0, False)])
def test_stored_attention_suits_the_squares_alone(power: float, alone: bool) -> None:
    """Signals hold means of squares, from which no other power can be made."""
    sizes = LossDims(6, 6, 7, {"stage3": 4, "stage4": 4}, {"stage3": 4})
    assert AttentionTransfer(PAIRS, power, sizes=sizes).attention_alone is alone
