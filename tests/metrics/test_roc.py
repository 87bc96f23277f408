"""Against loops over all couples, against scikit-learn, with and without ties."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_curve

from distill.metrics.roc import curve, roc_curve, similarity_histogram, unsupported
from reference import roc as slow
from reference.rates import auc, tpr_at_fpr

SEEDS = range(8)


def case(seed: int, pairs: int = 60, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    same = rng.random(pairs) < rng.uniform(0.2, 0.8)
    same[:2] = True, False
    scores = rng.normal(size=pairs) + same
    return (scores.round() if ties else scores), same


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_the_share_of_couples_in_order(seed, ties):
    scores, same = case(seed, ties=ties)
    assert auc(scores, same) == pytest.approx(slow.auc(scores.tolist(), same.tolist()), abs=1e-12)
    assert auc(scores, same) == pytest.approx(roc_auc_score(same, scores), abs=1e-12)


def test_auc_of_equal_scores_is_a_half_and_of_separated_ones_one():
    same = np.array([True, False, True, False, False])
    assert auc(np.zeros(5), same) == 0.5
    assert auc(same.astype(float), same) == 1.0
    assert auc(-same.astype(float), same) == 0.0


@pytest.mark.parametrize("seed", SEEDS)
def test_auc_depends_on_the_order_of_scores_only(seed):
    scores, same = case(seed, ties=True)
    assert auc(np.exp(scores), same) == auc(scores, same)
    assert auc(-scores, same) == pytest.approx(1 - auc(scores, same))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("fpr", [0.5, 0.1, 0.05, 0.01])
def test_tpr_is_the_best_threshold_that_keeps_the_fpr(seed, ties, fpr):
    scores, same = case(seed, ties=ties)
    allowed = int(fpr * (~same).sum() + 1e-9)
    assert tpr_at_fpr(scores, same, fpr) == slow.tpr_at_fpr(scores.tolist(), same.tolist(), allowed)
    fprs, tprs, _ = sklearn_curve(same, scores, drop_intermediate=False)
    assert tpr_at_fpr(scores, same, fpr) == pytest.approx(tprs[fprs <= fpr + 1e-12].max())


def test_a_rate_that_divides_the_impostors_admits_exactly_that_many():
    for count, fpr in ((3000, 1e-3), (30, 1e-1), (300, 1e-2), (30000, 1e-4), (100, 0.29), (100, 0.57)):
        admitted = round(fpr * count)  # not always what the product gives in binary: 0.29 * 100 < 29
        last = count - admitted  # score of the last impostor that may be accepted
        scores = np.r_[np.arange(count), last + 0.5, last - 0.5].astype(float)
        same = np.r_[np.zeros(count, bool), True, True]
        assert tpr_at_fpr(scores, same, fpr) == 1.0
        assert tpr_at_fpr(scores, same, fpr - 1 / count) == 0.5


def test_a_tie_across_the_target_is_rejected_as_a_whole():
    scores = np.array([3.0, 2.0, 2.0, 2.0, 1.0])
    same = np.array([True, True, False, False, False])
    assert tpr_at_fpr(scores, same, 0.5) == 0.5  # accepting the tie at 2 would admit two of three
    assert tpr_at_fpr(scores, same, 0.67) == 1.0


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("pairs", [2, 3, 5, 60])
def test_the_nearest_point_is_that_of_published_code(seed, ties, pairs):
    scores, same = case(seed, pairs, ties)
    fprs, tprs, _ = sklearn_curve(same, scores)
    for fpr in (1.0, 0.5, 0.3, 0.1, 0.02, 1e-4):
        distance = np.abs(fprs - fpr)
        assert curve(scores, same).tpr_near_fpr(fpr) == tprs[distance == distance.min()].max()


def test_the_nearest_point_may_lie_above_the_fpr_and_the_exact_one_may_not():
    scores, same = np.array([4.0, 3.0, 2.0, 1.0]), np.array([False, True, False, True])
    assert curve(scores, same).tpr_near_fpr(0.4) == 0.5  # of FPR 0.5
    assert tpr_at_fpr(scores, same, 0.4) == 0.0


@pytest.mark.parametrize("seed", SEEDS)
def test_counting_is_weighing_everything_once(seed):
    scores, same = case(seed, ties=True)
    counted, weighed = curve(scores, same), curve(scores, same, np.ones((1, len(same))))
    np.testing.assert_array_equal(counted.impostor, weighed.impostor)
    np.testing.assert_array_equal(counted.genuine, weighed.genuine)


@pytest.mark.parametrize("seed", SEEDS)
def test_order_of_pairs_does_not_matter(seed):
    scores, same = case(seed, ties=True)
    order = np.random.default_rng(seed).permutation(len(same))
    assert auc(scores[order], same[order]) == auc(scores, same)
    assert tpr_at_fpr(scores[order], same[order], 0.1) == tpr_at_fpr(scores, same, 0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_weight_is_a_repetition(seed):
    scores, same = case(seed, ties=True)
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(same))).astype(float)
    weighted = curve(scores, same, weights)
    for row, times in enumerate(weights.astype(int)):
        repeated = np.repeat(scores, times), np.repeat(same, times)
        assert weighted.auc()[row] == pytest.approx(auc(*repeated), abs=1e-12)
        assert weighted.tpr_at_fpr(0.1)[row] == tpr_at_fpr(*repeated, 0.1)


def test_undefined_statistics_are_nan():
    scores, weights = np.arange(4.0), np.array([[1.0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]])
    found = curve(scores, np.array([True, True, False, False]), weights)
    assert np.isnan(found.auc()).all()
    assert np.isnan(found.tpr_at_fpr(0.1)).all()
    assert np.isnan(auc(scores, np.ones(4, bool)))
    assert np.isnan(curve(scores, np.ones(4, bool)).tpr_near_fpr(0.1))


@pytest.mark.parametrize(("impostors", "fpr", "supported"), [
    (600, 1e-2, True), (600, 1e-3, False), (100, 1e-2, True), (99, 1e-2, False), (1000, 1e-3, True),
    (10000, 1e-4, True), (9999, 1e-4, False), (10, 1e-1, True), (0, 1e-1, False),
])  # fmt: skip
def test_support_needs_one_admissible_impostor(impostors, fpr, supported):
    same = np.r_[np.zeros(impostors, bool), True]
    assert (unsupported(same, fpr) is None) == supported


def test_reasons_name_the_numbers():
    assert unsupported(np.r_[np.zeros(600, bool), True], 1e-3) == "600 impostor pairs; at least 1000 needed"
    assert unsupported(np.zeros(600, bool), 1e-1) == "no genuine pairs"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ties", [False, True])
def test_curve_keeps_exactly_the_corners(seed, ties):
    scores, same = case(seed, ties=ties)
    found = roc_curve(scores, same)
    fprs, tprs, _ = sklearn_curve(same, scores, drop_intermediate=False)
    assert found is not None
    assert (found.fpr[0], found.tpr[0], found.fpr[-1], found.tpr[-1]) == (0, 0, 1, 1)
    assert {(round(x, 12), round(y, 12)) for x, y in zip(found.fpr, found.tpr, strict=True)} <= {
        (round(x, 12), round(y, 12)) for x, y in zip(fprs, tprs, strict=True)
    }
    assert np.trapezoid(found.tpr, found.fpr) == pytest.approx(auc(scores, same))


def test_a_long_curve_is_thinned():
    scores, same = case(0, pairs=20000)
    found = roc_curve(scores, same, max_points=50)
    assert found is not None
    assert len(found.fpr) == len(found.tpr) <= 50
    assert np.trapezoid(found.tpr, found.fpr) == pytest.approx(auc(scores, same), abs=5e-3)
    assert roc_curve(scores, np.ones_like(same)) is None


def test_histogram_counts_every_pair_once():
    scores = np.array([-1.0 - 1e-12, -1.0, 0.0, 0.5, 1.0, 1.0 + 1e-12])
    same = np.array([False, False, True, True, True, False])
    found = similarity_histogram(scores, same, bins=4)
    assert found.edges == (-1.0, -0.5, 0.0, 0.5, 1.0)
    assert found.genuine == (0, 0, 1, 2)
    assert found.impostor == (2, 0, 0, 1)
