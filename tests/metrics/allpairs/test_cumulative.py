"""Order statistics of many step functions are those of all scores together."""

from __future__ import annotations

import numpy as np
import pytest

from distill.errors import UserError
from distill.metrics.allpairs.bands import Bands
from distill.metrics.allpairs.cumulative import AllSteps, distinct, map_array, steps, write_array
from distill.metrics.allpairs.exact_score import STEP

BANDS = Bands(np.array([-0.25, 0.5]), np.array([0.25, np.inf]), 0.0)


def step_function(scores: np.ndarray, same: np.ndarray):
    """As a block would make it: counts outside of the bands, scores within."""
    counts, scored = np.zeros((2, 5), np.int64), []
    for kind in (0, 1):
        own = scores[same == bool(kind)]
        counts[kind, 2] = ((own >= 0.25) & (own < 0.5)).sum()
        within = own[((own >= -0.25) & (own < 0.25)) | (own >= 0.5)]
        scored.append(distinct([(within, np.ones(len(within), np.int64))]))
    return steps(BANDS, counts, (scored[0], scored[1]))


def case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (rng.uniform(-1, 1, 400) / 0.02).round() * round(0.02 / STEP) * STEP, rng.random(400) < 0.3


@pytest.mark.parametrize("seed", range(3))
def test_ranks_and_counts(seed):
    cases = [case(3 * seed + k) for k in range(3)]
    found = AllSteps([step_function(*c) for c in cases])
    scores, same = (np.concatenate(x) for x in zip(*cases, strict=True))
    ordered = np.sort(scores[~same])[::-1]
    seen = 0
    for rank in range(1, len(ordered) + 1):
        score = ordered[rank - 1]
        for low, high in zip(BANDS.low, BANDS.high, strict=True):
            inside = low <= score < high
            assert found.ranked(rank, low, high) == (score if inside else None)
            seen += inside
        if score >= 0.5 or -0.25 <= score < 0.25:
            assert found.above(score) == ((scores[~same] > score).sum(), (scores[same] > score).sum())
            assert found.reached(score) == ((scores[~same] >= score).sum(), (scores[same] >= score).sum())
    assert seen > 100
    assert found.ranked(len(ordered) + 1, -2.0, np.inf) is None


def test_equal_scores_are_counted_together():
    parts = [(np.array([0.5, 0.25]), np.array([1, 2])), (np.array([0.25]), np.array([5]))]
    scores, counts = distinct(parts)
    np.testing.assert_array_equal(scores, [0.25, 0.5])
    np.testing.assert_array_equal(counts, [7, 1])


def test_files_come_back_and_damage_is_named(tmp_path):
    written = step_function(*case(0))
    write_array(tmp_path / "s.npy", written)
    np.testing.assert_array_equal(map_array(tmp_path / "s.npy"), written)
    (tmp_path / "s.npy").write_bytes((tmp_path / "s.npy").read_bytes()[:-8])
    with pytest.raises(UserError, match=r"s\.npy cannot be read"):
        map_array(tmp_path / "s.npy")
