from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from distill.errors import UserError
from distill.losses.base import Loss
from distill.losses.ranks import (
    NegativeRanks,
    PositiveRanks,
    Thresholds,
    hardest,
    mean_over_pairs,
    pair_cosines,
    soft_ranks,
)
from distill.types import LossDims, LossInputs, Output
from reference import ranks as reference

LABELS = [0, 3, 3, 6, 1, 3, 0, 2]
BUILDS: list[Callable[[LossDims], Loss]] = [
    lambda s: PositiveRanks(0.1, sizes=s),
    lambda s: NegativeRanks(5, 0.1, sizes=s),
]


def _alike(spread: float, seed: int, count: int = 8) -> torch.Tensor:
    """Rows [count 6] in float64 whose cosines lie near each other, as those of faces do."""
    generator = np.random.default_rng(seed)
    return torch.from_numpy(generator.standard_normal(6) + spread * generator.standard_normal((count, 6)))


def _step(student: torch.Tensor, teacher: torch.Tensor, labels: list[int]) -> LossInputs:
    return LossInputs(torch.tensor(labels), Output(student), torch.empty(0, 6), Output(teacher))


@pytest.mark.parametrize("positive", [True, False])
def test_the_mean_of_the_first_batch_agrees_with_loops(positive: bool) -> None:
    s, t, y = _alike(0.6, 1), _alike(0.5, 2), np.array(LABELS)
    sizes = LossDims(6, 6, 7)
    loss = (PositiveRanks(0.1, sizes=sizes) if positive else NegativeRanks(5, 0.1, sizes=sizes)).double()
    rows, frozen = s.numpy(), t.numpy()
    limits = reference.thresholds(rows, y), reference.thresholds(frozen, y)
    chosen = reference.pairs(y, same=True) if positive else reference.hardest(rows, y, 5)
    expected = reference.gap(rows, frozen, chosen, limits, 0.1)
    assert expected > 0.001
    np.testing.assert_allclose(loss(_step(s, t, LABELS)).mean(), expected, rtol=1e-9)


def test_thresholds_are_those_of_the_rates_then_running_means() -> None:
    labels, first, second = np.array(list(range(60))), _alike(0.6, 1, 60), _alike(0.6, 2, 60)
    different = ~torch.eye(60, dtype=torch.bool)
    thresholds = Thresholds(0.01).double()
    found = thresholds(pair_cosines(first), different).clone()
    np.testing.assert_allclose(found, reference.thresholds(first.numpy(), labels), rtol=1e-12)
    assert (found.diff() >= 0).all(), "a lower rate needs a higher cosine"
    again = thresholds(pair_cosines(second), different)
    expected = 0.99 * found.numpy() + 0.01 * np.array(reference.thresholds(second.numpy(), labels))
    np.testing.assert_allclose(again, expected, rtol=1e-12)
    kept = again.clone()
    thresholds(pair_cosines(first[:1]), torch.zeros(1, 1, dtype=torch.bool))
    thresholds.eval()(pair_cosines(first), different)
    assert torch.equal(thresholds.values, kept)


def test_no_gap_where_both_agree_at_any_length() -> None:
    s = _alike(0.6, 1)
    for loss in (PositiveRanks(sizes=LossDims(6, 6, 7)), NegativeRanks(sizes=LossDims(6, 6, 7))):
        assert loss.double()(_step(s, 3 * s, LABELS)).abs().max() < 1e-20


def test_a_rank_is_the_share_of_the_thresholds_that_are_passed() -> None:
    thresholds = torch.tensor([0.1, 0.3, 0.5])
    ranks = soft_ranks(torch.tensor([[-1.0, 0.2], [0.3, 1.0]]), thresholds, 0.01)
    torch.testing.assert_close(ranks, torch.tensor([[0.0, 1.0], [1.5, 3.0]]) / 3, atol=1e-4, rtol=0)


def test_the_hardest_are_the_most_similar_of_different_people() -> None:
    similarity = torch.tensor([[0.0, 0.9, 0.2], [0.9, 0.0, 0.5], [0.2, 0.5, 0.0]])
    negative = torch.tensor([[0, 0, 1], [0, 0, 1], [1, 1, 0]]).bool()
    assert torch.equal(hardest(similarity, negative, 1), torch.tensor([[0, 0, 0], [0, 0, 1], [0, 1, 0]]).bool())
    assert torch.equal(hardest(similarity, negative, 9), negative)


def test_each_pair_counts_half_for_either_image() -> None:
    gaps = torch.tensor([[0.0, 3.0, 5.0], [3.0, 0.0, 7.0], [5.0, 7.0, 0.0]])
    pairs = torch.tensor([[0, 1, 1], [1, 0, 0], [1, 0, 0]]).bool()
    torch.testing.assert_close(mean_over_pairs(gaps, pairs), torch.tensor([6.0, 2.25, 3.75]))
    assert torch.equal(mean_over_pairs(gaps, torch.zeros_like(pairs)), torch.zeros(3))


@pytest.mark.parametrize("build", BUILDS)
def test_gradient(build: Callable[[LossDims], Loss]) -> None:
    s, t = _alike(0.6, 1).requires_grad_(), _alike(0.5, 2)
    loss = build(LossDims(6, 6, 7)).double()
    loss(_step(s, t, LABELS))  # sets the thresholds, which have no gradient
    assert torch.autograd.gradcheck(lambda x: loss.eval()(_step(x, t, LABELS)), (s,))


@pytest.mark.parametrize("build", BUILDS)
def test_sound(build: Callable[[LossDims], Loss], sizes: LossDims, sound: Callable[[Loss], None]) -> None:
    sound(build(sizes))


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("factor", [1.0, -1.0, 0.0, 1e15])
def test_extreme_embeddings_are_finite(build: Callable[[LossDims], Loss], factor: float) -> None:
    one = torch.ones(len(LABELS), 6, dtype=torch.bfloat16)
    student = (one * factor).requires_grad_()
    values = build(LossDims(6, 6, 7)).train()(_step(student, one, LABELS))
    values.sum().backward()
    assert values.isfinite().all()
    assert student.grad is not None
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("build", BUILDS)
def test_a_resumed_run_continues_the_thresholds(build: Callable[[LossDims], Loss]) -> None:
    steps = [_step(_alike(0.6, seed).float(), _alike(0.5, seed + 9).float(), LABELS) for seed in range(3)]
    whole, first, second = (build(LossDims(6, 6, 7)) for _ in range(3))
    expected = [whole(step) for step in steps][-1]
    for step in steps[:2]:
        first(step)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second(steps[2]), expected)
    assert not list(second.parameters())


def test_a_batch_of_different_people_has_no_positive_pair() -> None:
    s = _alike(0.6, 1).requires_grad_()
    values = PositiveRanks(sizes=LossDims(6, 6, 9)).double()(_step(s, _alike(0.5, 2), list(range(8))))
    assert torch.equal(values, torch.zeros(8, dtype=torch.float64))
    values.sum().backward()


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda s: NegativeRanks(0, sizes=s), "count is 0"),
        (lambda s: PositiveRanks(temperature=0, sizes=s), "temperature is 0"),
        (lambda s: PositiveRanks(momentum=2, sizes=s), "momentum is 2"),
        (lambda s: NegativeRanks(sizes=LossDims(8, None, 4)), "NegativeRanks needs a teacher"),
        (lambda s: PositiveRanks(sizes=LossDims(8, 4, 1)), "at least 2 identities"),
    ],
)
def test_bad_options(build: Callable[[LossDims], Loss], match: str, sizes: LossDims) -> None:
    with pytest.raises(UserError, match=match):
        build(sizes)
