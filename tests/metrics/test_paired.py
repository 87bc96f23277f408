from __future__ import annotations

import math

import numpy as np
import pytest

from distill.metrics.bootstrap import Bootstrap
from distill.metrics.paired import Metric, estimate, figures, resampled, scoring, units, units_needed
from distill.metrics.verification import verify_distances
from reference import paired as slow

FPR = 0.1
PAIRS = 60


def case(seed: int, noise: float = 0.35) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances with ties [p], verdicts [p], and three slices: all, a third, and one without impostors."""
    rng = np.random.default_rng(seed)
    same = rng.random(PAIRS) < 0.5
    distances = np.clip(np.where(same, 0.9, 1.5) + noise * rng.normal(size=PAIRS), 0, 4).round(2)
    third = rng.random(PAIRS) < 1 / 3
    return distances, same, np.stack([np.ones(PAIRS, bool), third, third & same])


def slow_figures(distances: np.ndarray, same: np.ndarray, inside: np.ndarray, weights: np.ndarray) -> list[float]:
    fold = np.repeat(np.arange(10), 6).tolist()
    pairs = [slow.Pair(*row) for row in zip(distances.tolist(), same.tolist(), fold, inside.tolist(), strict=True)]
    pairs = slow.listed(pairs, weights.astype(int).tolist())
    return [slow.accuracy(pairs), slow.auc(pairs), slow.tpr_at_fpr(pairs, FPR)]


@pytest.mark.parametrize("seed", range(4))
def test_figures_of_slices_under_weights_against_loops(seed: int):
    distances, same, slices = case(seed)
    weights = np.stack([np.ones(PAIRS), *np.random.default_rng(seed).integers(0, 3, (2, PAIRS))]).astype(float)
    found = figures(scoring(distances, same), weights, slices, FPR)
    assert found.shape == (3, 3, len(Metric))
    for r, row in enumerate(weights):
        for s, inside in enumerate(slices):
            expected = slow_figures(distances, same, inside, row)
            np.testing.assert_allclose(found[r, s], expected, rtol=1e-12, equal_nan=True)
    assert np.isnan(found[:, 2, 1]).all(), "no impostors, no area"


def test_the_whole_set_is_what_verify_says():
    distances, same, slices = case(0)
    found = figures(scoring(distances, same), np.ones((1, PAIRS)), slices[:1], FPR)[0, 0]
    known = verify_distances(distances, same, bootstrap=Bootstrap(resamples=5))
    assert found == pytest.approx([known.accuracy_mean, known.auc, known.tpr_at_fpr["0.1"]], abs=1e-12)


@pytest.mark.parametrize("kind", [True, False])
def test_pairs_of_one_kind_have_an_accuracy_alone(kind: bool):
    one = scoring(np.linspace(0, 1, 20), np.full(20, kind))
    found = figures(one, np.ones((2, 20)), np.ones((1, 20), bool), FPR)
    assert not np.isnan(found[..., 0]).any()
    assert np.isnan(found[..., 1:]).all()


def test_both_scorings_see_the_same_resamples():
    (first, same, slices), (second, *_) = case(0), case(1)
    models = [scoring(first, same), scoring(second, same)]
    bootstrap = Bootstrap(resamples=12, seed=3)
    found = resampled(models, slices, FPR, bootstrap)
    weights = np.concatenate(list(bootstrap.weights(same)))
    for k, distances in enumerate((first, second)):
        for r in range(12):
            expected = slow_figures(distances, same, slices[1], weights[r])
            np.testing.assert_allclose(found[k, r, 1], expected, rtol=1e-12, equal_nan=True)


def test_persons_are_drawn_as_a_whole():
    distances, same, slices = case(2)
    persons = np.stack([np.arange(PAIRS) % 7, np.where(same, np.arange(PAIRS) % 7, 7 + np.arange(PAIRS) % 5)], 1)
    bootstrap = Bootstrap(resamples=12)
    found = resampled([scoring(distances, same)], slices, FPR, bootstrap, persons)
    weights = np.concatenate(list(bootstrap.weights(same, persons)))
    expected = [slow_figures(distances, same, slices[0], row) for row in weights]
    np.testing.assert_allclose(found[0, :, 0], expected, rtol=1e-12, equal_nan=True)
    assert (resampled([scoring(distances, same)], slices, FPR, bootstrap) != found).any()


def test_exchanging_the_models_flips_every_sign_and_one_with_itself_differs_by_nothing():
    (first, same, slices), (second, *_) = case(0), case(1)
    a, b = scoring(first, same), scoring(second, same)
    bootstrap = Bootstrap(resamples=50)
    there, back = (resampled(models, slices, FPR, bootstrap) for models in ([a, b], [b, a]))
    np.testing.assert_array_equal(there[0] - there[1], -(back[0] - back[1]))
    itself = resampled([a, a], slices, FPR, bootstrap)
    differences = itself[0] - itself[1]
    assert (differences[~np.isnan(differences)] == 0).all()


def test_a_group_whose_distances_all_rise_loses_at_the_threshold_of_the_set():
    rng = np.random.default_rng(0)
    same = np.tile([True, False], 300)
    group = np.arange(600) // 2 % 5 == 0
    before = np.where(same, 0.8, 1.6) + 0.1 * rng.normal(size=600)
    after = before + 0.6 * group
    slices = np.stack([np.ones(600, bool), group])
    old, new = (figures(scoring(d, same), np.ones((1, 600)), slices, 0.01)[0] for d in (before, after))
    assert new[1, 1] == pytest.approx(old[1, 1], abs=1e-12), "by itself, the group is as well told apart as before"
    assert new[1, 0] < old[1, 0] - 0.1
    assert new[1, 2] < old[1, 2] - 0.2


def test_spread_of_a_difference_is_that_of_discordant_pairs():
    rng = np.random.default_rng(0)
    same, right = np.tile([True, False], 1000), 0.5
    base = np.where(same, right, 1.5)
    first, second = (np.where(rng.random(2000) < 0.05, 2 - base, base) for _ in range(2))
    slices = np.ones((1, 2000), bool)
    found = resampled([scoring(first, same), scoring(second, same)], slices, FPR, Bootstrap(resamples=600))
    won, lost = ((first == base) & (second != base)).mean(), ((first != base) & (second == base)).mean()
    theory = math.sqrt((won + lost - (won - lost) ** 2) / 2000)  # McNemar's
    assert (found[0] - found[1])[:, 0, 0].std() == pytest.approx(theory, rel=0.1)


def test_units_are_pairs_or_the_fewer_persons():
    same = np.array([True, True, True, False, False, False])
    slices = np.stack([np.ones(6, bool), np.array([1, 1, 0, 0, 0, 1], bool)])
    np.testing.assert_array_equal(units(same, slices), [[6, 3, 3], [3, 1, 2]])
    persons = np.array([[0, 0], [0, 0], [1, 1], [0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(units(same, slices, persons), [[6, 2, 2], [3, 1, 1]])


@pytest.mark.parametrize(("margin", "confidence"), [(0.01, 0.95), (0.05, 0.95), (0.02, 0.9), (0.3, 0.99)])
def test_fewer_units_than_needed_may_hide_a_loss_of_the_margin(margin: float, confidence: float):
    needed = units_needed(margin, confidence)
    assert (1 - margin) ** needed <= 1 - confidence < (1 - margin) ** (needed - 1)


def test_an_interval_is_wider_by_a_unit_that_nobody_saw():
    values = np.random.default_rng(0).normal(0.3, 0.1, 4000)
    found = estimate(0.3, values, 100, 0.95)
    assert found is not None
    low, high = np.quantile(values, [0.05, 0.95])
    assert found.low == pytest.approx(0.3 - math.hypot(0.3 - low, 1.6448536 / 100))
    assert found.high == pytest.approx(0.3 + math.hypot(high - 0.3, 1.6448536 / 100))
    nothing = estimate(0.0, np.zeros(50), 200, 0.95)
    assert nothing is not None
    assert (nothing.low, nothing.high) == pytest.approx((-1.6448536 / 200, 1.6448536 / 200))


def test_what_is_undefined_has_no_estimate():
    assert estimate(0.5, np.full(3, np.nan), 10, 0.95) is None
    assert estimate(math.nan, np.zeros(3), 10, 0.95) is None
    assert estimate(0.5, np.zeros(3), 0, 0.95) is None
