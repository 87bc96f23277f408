"""Against loops over thresholds and repeated pairs, and against the ROC curve."""

from __future__ import annotations

import numpy as np
import pytest

from distill.metrics.bootstrap import Bootstrap
from distill.metrics.operating import decades, fpr_grid, hardest, operating_points, tpr_band
from reference import operating as slow
from reference.rates import tpr_at_fpr

QUICK = Bootstrap(resamples=40, seed=3)
FPRS = (0.5, 0.2, 0.1, 0.05)


def case(seed: int, pairs: int = 90, ties: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, verdicts and persons of random pairs."""
    rng = np.random.default_rng(seed)
    persons = rng.integers(0, 12, (pairs, 2))
    persons[: pairs // 3, 1] = persons[: pairs // 3, 0]
    same = persons[:, 0] == persons[:, 1]
    scores = rng.normal(size=pairs) + same
    return (scores.round() if ties else scores), same, persons


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [False, True])
def test_points_are_those_of_a_loop_over_thresholds(seed: int, ties: bool):
    scores, same, _ = case(seed, ties=ties)
    impostor = int((~same).sum())
    for point in operating_points(scores, same, FPRS, QUICK):
        expected = slow.operating_point(scores.tolist(), same.tolist(), int(point.fpr * impostor + 1e-9))
        assert (point.threshold, point.impostor_accepted, point.genuine_accepted) == expected
        assert point.tpr == tpr_at_fpr(scores, same, point.fpr)
        assert point.impostor_accepted is not None
        assert point.impostor_accepted <= point.fpr * impostor * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("over", ["pairs", "persons"])
@pytest.mark.parametrize("ties", [False, True])
def test_bands_are_those_of_repeated_pairs(seed: int, over: str, ties: bool):
    scores, same, persons = case(seed, ties=ties)
    known = persons if over == "persons" else None
    times = np.concatenate(list(QUICK.weights(same, known))).astype(int).tolist()
    for fpr, found in zip(FPRS, tpr_band(scores, same, FPRS, QUICK, known), strict=True):
        expected = slow.band(scores.tolist(), same.tolist(), fpr, times, QUICK.confidence)
        assert found == pytest.approx(expected, abs=1e-12)


def test_persons_give_another_band_than_pairs_and_the_same_points():
    scores, same, persons = case(0, pairs=600)
    by_pair = operating_points(scores, same, FPRS, QUICK)
    by_person = operating_points(scores, same, FPRS, QUICK, persons)
    assert [(a.tpr, a.threshold) for a in by_pair] == [(b.tpr, b.threshold) for b in by_person]
    assert [a.interval for a in by_pair] != [b.interval for b in by_person]


@pytest.mark.parametrize("seed", range(3))
def test_the_band_holds_the_rate_and_both_fall_with_the_fpr(seed: int):
    scores, same, _ = case(seed, pairs=400)
    points = operating_points(scores, same, fpr_grid(int((~same).sum()), 5), Bootstrap(resamples=300))
    rows = [(point.tpr, *(point.interval or ())) for point in points if point.tpr is not None]
    assert len(rows) == len(points) > 5
    assert all(low <= tpr <= high for tpr, low, high in rows)
    assert (np.diff(np.array(rows), axis=0) <= 0).all()


def test_what_pairs_do_not_support_is_said():
    scores, same, _ = case(0)
    impostor = int((~same).sum())
    first, last = operating_points(scores, same, (0.1, 1e-3), QUICK)
    assert first.missing is None
    assert last.missing == f"{impostor} impostor pairs; at least 1000 needed"
    assert (last.tpr, last.threshold, last.interval) == (None, None, None)
    assert operating_points(scores, np.zeros_like(same), (0.1,), QUICK)[0].missing == "no genuine pairs"


@pytest.mark.parametrize("impostor", [1, 9, 10, 11, 600, 1000, 10**6, 12345678])
def test_grids_end_where_pairs_do(impostor: int):
    grid = fpr_grid(impostor)
    assert all(fpr * impostor >= 1 - 1e-5 for fpr in grid)
    assert len(grid) == int(20 * np.log10(impostor) + 1e-9)
    assert set(decades(impostor)[:-1]) <= set(grid)
    assert decades(impostor)[-1] * impostor < 1 <= decades(impostor)[-1] * impostor * 10 * (1 + 1e-9)
    if len(grid) > 1:
        np.testing.assert_allclose(np.divide(grid[1:], grid[:-1]), 10**-0.05, rtol=1e-4)


def test_the_hardest_pairs_are_the_worst_of_each_kind_first():
    scores = np.array([0.9, 0.1, 0.5, 0.8, 0.2, 0.8, 0.1])
    same = np.array([True, True, True, False, False, False, True])
    genuine, impostor = hardest(scores, same, 2)
    assert genuine.tolist() == [1, 6]
    assert impostor.tolist() == [3, 5]
    assert [len(rows) for rows in hardest(scores, same, 99)] == [4, 3]
