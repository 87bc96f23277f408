"""What a comparison is made of: the pairs' own figures, resampled by the settings, and when pairs are too few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from distill.config.scoring_jobs import JudgeConf, MarginsConf
from distill.judge.benchmark import Benchmark
from distill.judge.comparison import Case, compare
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.paired import Metric, estimate, figures, resampled, scoring, units
from reference.scored_pairs import ScoredPairs


def known(case: Case) -> Case:
    """The same, with people whom several pairs show."""
    people = np.arange(len(case.benchmark.same)) // 2
    persons = np.stack([people, np.where(case.benchmark.same, people, (people + 1) % len(people))], 1)
    return replace(case, benchmark=replace(case.benchmark, persons=persons))


@pytest.mark.parametrize("with_persons", [False, True])
def test_differences_are_resampled_as_the_settings_say(with_persons: bool):
    settings = JudgeConf(fpr=0.1, confidence=0.8, resamples=130, seed=3)
    case = ScoredPairs(pairs=400, groups={"a": 150, "b": 150}).draw(2)
    case = known(case) if with_persons else case
    same, persons = case.benchmark.same, case.benchmark.persons
    assert case.champion is not None
    group = case.benchmark.columns["group"]
    slices = np.stack([np.ones(400, bool), group == "a", group == "b"])
    models = [scoring(distances, same) for distances in (case.challenger, case.champion)]
    drawn = resampled(models, slices, 0.1, Bootstrap(130, seed=3), persons)
    own, other = (figures(model, np.ones((1, 400)), slices, 0.1)[0] for model in models)
    counts = units(same, slices, persons)
    found = compare(case, settings)
    assert [(f.slice, f.metric) for f in found] == [(s, m) for s in ("all", "group=a", "group=b") for m in Metric]
    for k, one in enumerate(found):
        s, m = divmod(k, 3)
        count = int(counts[s, m])
        assert one.own == estimate(float(own[s, m]), drawn[0, :, s, m], count, 0.8)
        assert one.champion == other[s, m]
        gained, spread = float(own[s, m] - other[s, m]), drawn[0, :, s, m] - drawn[1, :, s, m]
        assert one.difference == estimate(gained, spread, count, 0.8)
        assert one.margin == (settings.slice_margin if s else settings.margin).of(one.metric)


def alone(genuine: int, impostor: int) -> Case:
    same = np.r_[np.ones(genuine, bool), np.zeros(impostor, bool)]
    rng = np.random.default_rng(0)
    champion, challenger = (np.where(same, 0.8, 1.4) + 0.3 * rng.normal(size=len(same)) for _ in range(2))
    return Case(Benchmark("set", same, {}, None, "0" * 64), challenger, champion)


def shortage(case: Case, metric: Metric, fpr: float) -> str:
    settings = JudgeConf(fpr=fpr, resamples=100, margin=MarginsConf(0.05, 0.05, 0.05))
    return next(f.shortage for f in compare(case, settings) if f.metric is metric)


@pytest.mark.parametrize(("impostor", "fpr"), [(300, 0.1), (100, 0.3), (1500, 0.02), (240, 0.125), (52, 30 / 52)])
def test_thirty_impostors_that_are_let_in_are_enough_and_29_are_not(impostor: int, fpr: float):
    assert shortage(alone(70, impostor), Metric.tpr_at_fpr, fpr) == ""
    told = f"{impostor - 1} impostor pairs in the set; {impostor} needed at this FPR"
    assert shortage(alone(70, impostor - 1), Metric.tpr_at_fpr, fpr) == told


@pytest.mark.parametrize(
    ("metric", "least", "fewer"), [(Metric.auc, 59, " of the rarer kind"), (Metric.tpr_at_fpr, 59, " of the genuine")]
)
def test_pairs_that_can_show_a_loss_of_the_margin_are_enough_and_one_fewer_are_not(
    metric: Metric, least: int, fewer: str
):
    assert shortage(alone(least, 400), metric, 0.1) == ""
    assert f"{least - 1} pairs{fewer}" in shortage(alone(least - 1, 400), metric, 0.1)


def test_an_accuracy_counts_pairs_of_both_kinds():
    assert shortage(alone(20, 39), Metric.accuracy, 0.1) == ""
    assert "58 pairs; 59 needed for a margin of 0.05" in shortage(alone(20, 38), Metric.accuracy, 0.1)
