"""An FPR that impostors meet exactly: every figure accepts just as many as it allows, and none more, ties included.

A hundred impostors, and genuine pairs between the 29th and the 30th of them. 0.29 x 100 is less than 29 in binary, and
0.07 x 100 more than 7: neither may decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from distill.metrics.allpairs import LabelledFeatures, Settings, score_all_pairs
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.identification import Searches
from distill.metrics.operating import operating_points, tpr_band
from distill.metrics.paired import Metric, figures, scoring
from distill.metrics.roc import curve, unsupported
from distill.metrics.templates import resampled_tprs
from distill.metrics.verification import verify_distances
from reference.rates import tpr_at_fpr

IMPOSTORS, GENUINE = 100, 20
Rate = Callable[[np.ndarray, np.ndarray, float], float]


def pairs(place: float) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of impostors from 0.5 down in equal steps, and of genuine pairs behind so many of them; a half: a tie."""
    impostor = 0.5 - np.arange(1, IMPOSTORS + 1) / 256  # exact in binary, as is a step's half
    scores = np.r_[impostor, np.full(GENUINE, 0.5 - (place + 0.5) / 256)]
    return scores, np.r_[np.zeros(IMPOSTORS, bool), np.ones(GENUINE, bool)]


def of_pairs(scores: np.ndarray, same: np.ndarray, fpr: float) -> float:
    once = np.ones((1, len(same)))
    found = figures(scoring(2 - 2 * scores, same), once, once.astype(bool), fpr)
    return float(found[0, 0, list(Metric).index(Metric.tpr_at_fpr)])


def of_weights(scores: np.ndarray, same: np.ndarray, fpr: float) -> float:
    return float(curve(scores, same, np.full((1, len(same)), 3.0)).tpr_at_fpr(fpr)[0])


def of_an_operating_point(scores: np.ndarray, same: np.ndarray, fpr: float) -> float:
    (point,) = operating_points(scores, same, [fpr], Bootstrap(resamples=2))
    assert point.tpr is not None
    return point.tpr


class Once(Bootstrap):
    """Every pair and every person counts once."""

    def weights(self, same: np.ndarray, persons: Any = None) -> Iterator[np.ndarray]:
        yield np.ones((self.resamples, len(same)))

    def draws(self, persons: int) -> Iterator[np.ndarray]:
        return (np.ones(persons) for _ in range(self.resamples))


def of_a_band(scores: np.ndarray, same: np.ndarray, fpr: float) -> float:
    (interval,) = tpr_band(scores, same, [fpr], Once(resamples=3))
    assert interval is not None
    assert interval[0] == interval[1]
    return interval[0]


def of_resampled_templates(scores: np.ndarray, same: np.ndarray, fpr: float) -> float:
    persons = np.arange(2 * len(same)).reshape(-1, 2)
    persons[same, 1] = persons[same, 0]
    numbers = np.unique(persons, return_inverse=True)[1].reshape(-1, 2)
    return float(resampled_tprs(scores, same, numbers, [fpr], Once(resamples=1))[0, 0])


def of_a_search(scores: np.ndarray, same: np.ndarray, fpr: float) -> float:
    return Searches(np.where(same, 1, 0), scores).dir_at_far(fpr)


RATES: list[Rate] = [
    tpr_at_fpr,
    of_weights,
    of_pairs,
    of_an_operating_point,
    of_a_band,
    of_resampled_templates,
    of_a_search,
]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("allowed", [7, 28, 29, 55, 57, 58])
def test_genuine_pairs_behind_as_many_impostors_as_are_allowed_are_accepted(rate: Rate, allowed: int):
    between = pairs(allowed)
    assert rate(*between, allowed / 100) == 1
    assert rate(*between, (allowed - 1) / 100) == 0
    assert rate(*between, (allowed - 0.5) / 100) == 0


@pytest.mark.parametrize("rate", RATES)
def test_genuine_pairs_that_tie_with_an_impostor_too_many_are_rejected_with_it(rate: Rate):
    tied = pairs(29.5)  # with the 30th
    assert rate(*tied, 0.29) == 0
    assert rate(*tied, 0.30) == 1


@pytest.mark.parametrize("rate", [tpr_at_fpr, of_weights, of_pairs, of_a_band, of_resampled_templates, of_a_search])
def test_at_an_fpr_of_0_only_what_lies_above_all_impostors_is_accepted(rate: Rate):
    assert rate(*pairs(0), 0.0) == 1
    assert rate(*pairs(1), 0.0) == 0
    assert rate(*pairs(0.5), 0.0) == 0


def test_an_impostor_that_no_resample_holds_bars_nobody():
    """The first impostor has no weight: what lies between it and the next is accepted at an FPR of 0."""
    scores, same = pairs(1)
    weights = np.ones((1, len(same)))
    weights[0, 0] = 0
    assert curve(scores, same, weights).tpr_at_fpr(0.0)[0] == 1
    found = figures(scoring(2 - 2 * scores, same), weights, np.ones((1, len(same)), bool), 0.0)
    assert found[0, 0, list(Metric).index(Metric.tpr_at_fpr)] == 1
    assert Searches(np.where(same, 1, 0), scores).dir_at_far(0.0, weights[0]) == 1


@pytest.mark.parametrize("count", [10, 49, 98, 103, 107, 161, 1000])
def test_one_impostor_that_is_allowed_exactly_supports_an_fpr(count: int):
    same = np.r_[np.zeros(count, bool), True]
    assert unsupported(same, 1 / count) is None
    assert unsupported(same[1:], 1 / count) == f"{count - 1} impostor pairs; at least {count} needed"


def test_all_pairs_of_a_set_meet_an_fpr_exactly():
    """Probes along a circle: a hundred impostors in order, of whom one is allowed more by every hundredth."""
    angles = np.r_[np.linspace(0.1, 1.2, IMPOSTORS), 0.1 + 1.1 * 28.5 / 99]
    probes = LabelledFeatures(
        np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32), np.r_[np.arange(1, 101), 0]
    )
    gallery = LabelledFeatures(np.array([[1.0, 0.0]], np.float32), np.array([0]))
    found = score_all_pairs(gallery, probes, Settings((0.28, 0.29, 0.57), bootstrap=None))
    assert [(p.fpr, p.tpr, p.impostor_accepted) for p in found.points] == [(0.57, 1, 57), (0.29, 1, 29), (0.28, 0, 28)]


def test_scores_are_cosines_wherever_they_are_made_of_distances():
    """To the bit: thresholds and histograms are given as cosines, and one ranking must not break another's ties."""
    rng = np.random.default_rng(0)
    distances, same = rng.uniform(0, 4, 400), np.tile([True, False], 200)
    assert np.array_equal(scoring(distances, same).scores, 1 - distances / 2)
    histogram = verify_distances(distances, same, bootstrap=Bootstrap(resamples=2)).histogram
    kinds = [np.histogram(1 - distances[kind] / 2, histogram.edges)[0].tolist() for kind in (same, ~same)]
    assert kinds == [list(histogram.genuine), list(histogram.impostor)]
