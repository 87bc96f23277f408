"""Resampled TPRs against sums over all pairs with explicit weights."""

from __future__ import annotations

import numpy as np
import pytest

from distill.metrics.allpairs import intervals
from distill.metrics.allpairs.intervals import Exact, Resampler, genuine_first, impostors_first
from distill.metrics.allpairs.pairing import Pairing
from distill.metrics.allpairs.sample import sample_tails
from distill.metrics.bootstrap import Bootstrap, draw
from metrics.allpairs.crowd import crowd
from reference import allpairs as slow

FPRS = (1e-3, 1e-2, 1e-1)


class Case:
    """All pairs of a set, as the resampler wants them and as the loops want them."""

    def __init__(self, pairing: Pairing, bootstrap: Bootstrap) -> None:
        other = () if pairing.probes is None else (pairing.probes.features, pairing.probes.identities)
        self.scores, self.same = slow.scored(pairing.gallery.features, pairing.gallery.identities, *other)
        rows = slow.pairs(len(pairing.gallery), None if pairing.probes is None else len(pairing.probes))
        self.persons = np.stack([side[at] for side, at in zip(pairing.persons, np.array(rows).T, strict=True)], axis=1)
        slow_points = [slow.point(self.scores, self.same, fpr) for fpr in FPRS]
        self.points = [Exact(fpr, found[1], found[0]) for fpr, found in zip(FPRS, slow_points, strict=True)]
        genuine = genuine_first(self.scores[self.same], self.persons[self.same][:, 0])
        self.resampler = Resampler(pairing, genuine, bootstrap, threads=2)
        self.drawn = draw(np.random.default_rng(bootstrap.seed), bootstrap.resamples, int(self.persons.max()) + 1)

    def highest(self, count: int):
        keep = np.argsort(-self.scores + 1e9 * self.same, kind="stable")[:count]
        return impostors_first(self.scores[keep], *self.persons[keep].T)

    def slow_tpr(self, fpr: float) -> np.ndarray:
        return np.array(
            [slow.weighted_tpr(self.scores, self.same, self.persons, row.tolist(), fpr) for row in self.drawn]
        )


PAIRINGS = {
    "one set": Pairing(crowd(60)),
    "rectangle": Pairing(crowd(60), crowd(40, seed=1)),
    "three persons": Pairing(crowd(30, people=3)),
}


@pytest.mark.parametrize("name", PAIRINGS)
def test_with_all_pairs_intervals_are_those_of_explicit_weights(name):
    bootstrap = Bootstrap(resamples=40)
    case = Case(PAIRINGS[name], bootstrap)
    found = case.resampler.intervals(case.points, case.highest((~case.same).sum()), None)
    for fpr, point in zip(FPRS, found, strict=True):
        assert point.evidence == "all"
        assert point.interval == pytest.approx(bootstrap.interval(case.slow_tpr(fpr)), abs=1e-12)
    assert len({point.interval for point in found}) > 1


@pytest.mark.slow
def test_a_tail_serves_the_points_whose_allowance_ends_in_it(monkeypatch):
    monkeypatch.setattr(intervals, "_SAMPLED_PAIRS", 1 << 12)
    pairing, bootstrap = Pairing(crowd(300, coarse=False)), Bootstrap(resamples=60)
    case = Case(pairing, bootstrap)
    complete = case.resampler.intervals(case.points, case.highest((~case.same).sum()), None)
    tails = sample_tails(pairing, 0, 2)
    found = case.resampler.intervals(case.points, case.highest(2500), tails)
    assert [point.evidence for point in found] == ["all", "all", "sample"]
    assert found[:2] == complete[:2]
    sampled = case.resampler.intervals(case.points, None, tails)
    assert [point.evidence for point in sampled] == ["sample"] * 3
    for exact, near in zip(complete, sampled, strict=True):
        assert exact.interval is not None
        assert near.interval is not None
        assert near.interval == pytest.approx(exact.interval, abs=0.02)
        assert near.interval[1] - near.interval[0] == pytest.approx(exact.interval[1] - exact.interval[0], rel=0.25)
