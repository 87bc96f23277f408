"""What the confidence promises, in simulations of models whose true quality is known."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from distill.config.scoring_jobs import JudgeConf, MarginsConf
from distill.judge.decide import Facts, Requirement, judge
from distill.judge.judgement import Judgement
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.paired import estimate
from distill.metrics.roc import curve
from reference.rates import auc
from reference.scored_pairs import ScoredPairs

SIMULATIONS = 100
PASSED = Requirement(True, "drawn")
MARGIN, SLICE_MARGIN = 0.02, 0.05
WIDE = 0.9
"""A margin that nothing exceeds, so that AUC alone is tried."""
SETTINGS = JudgeConf(
    margin=MarginsConf(WIDE, MARGIN, WIDE),
    slice_margin=MarginsConf(WIDE, SLICE_MARGIN, WIDE),
    confidence=0.95,
    resamples=100,
)
MOST = 0.05 + 3 * math.sqrt(0.05 * 0.95 / SIMULATIONS)
"""Three standard errors above the chance that the confidence leaves."""


def judged(drawn: ScoredPairs, newer_data: bool = True) -> list[Judgement]:
    facts = Facts(PASSED, PASSED, newer_data)
    return [judge([drawn.draw(seed)], SETTINGS, facts) for seed in range(SIMULATIONS)]


def share(found: list[Judgement]) -> float:
    return sum(judgement.promoted for judgement in found) / len(found)


@pytest.mark.slow
@pytest.mark.parametrize("champion", [0.97])
def test_a_challenger_worse_by_the_margin_is_seldom_promoted(champion: float):
    promoted = share(judged(ScoredPairs(champion=champion, challenger=champion - MARGIN, pairs=600)))
    assert promoted <= MOST


@pytest.mark.slow
def test_a_slice_worse_by_its_margin_is_seldom_promoted_whatever_the_average():
    drawn = ScoredPairs(challenger=0.98, pairs=800, groups={"a": 400, "b": 400}, inside={"b": 0.95 - SLICE_MARGIN})
    found = judged(drawn)
    assert share(found) <= MOST
    failed = [reason.slice for judgement in found for reason in judgement.against]
    assert failed.count("group=b") > 0.8 * len(found)


def test_an_equal_challenger_is_seldom_called_better():
    assert share(judged(ScoredPairs(pairs=600), newer_data=False)) <= MOST


@pytest.mark.slow
def test_an_equal_challenger_of_newer_data_is_rejected_as_often_as_the_margin_is_narrow():
    found = judged(ScoredPairs(pairs=600, champion=0.93, challenger=0.93, correlation=0.7))
    differences = [judgement.reasons[2].difference or 0.0 for judgement in found]
    power = NormalDist().cdf(MARGIN / float(np.std(differences)) - NormalDist().inv_cdf(0.95))
    assert 0.2 < power < 0.95, "a case in which both happen"
    assert share(found) == pytest.approx(power, abs=3 * math.sqrt(0.25 / SIMULATIONS))


def test_where_nearly_all_pairs_are_right_percentiles_alone_promise_too_much():
    margin, drawn = 0.01, ScoredPairs(champion=0.995, challenger=0.985, pairs=600)
    plain = passed = 0
    for seed in range(100):
        case = drawn.draw(seed)
        assert case.champion is not None
        same, new, old = case.benchmark.same, -case.challenger, -case.champion
        weights = np.concatenate(list(Bootstrap(200).weights(same)))
        values = curve(new, same, weights).auc() - curve(old, same, weights).auc()
        found = estimate(auc(new, same) - auc(old, same), values, 300, 0.95)
        assert found is not None
        plain += np.quantile(values, 0.05) >= -margin
        passed += found.low >= -margin
    assert passed <= 5 < 10 < plain
