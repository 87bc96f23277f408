"""Searches and their figures against loops over probes and thresholds."""

from __future__ import annotations

import json

import numpy as np
import pytest

from distill.metrics import identification
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.identification import Searches, identify, mean, mean_rows, search
from reference.templates import dir_at_far, ranks_and_scores


def case(seed: int, templates: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A gallery of 12 people, probes of these and of 8 strangers; whole numbers, so that many scores tie."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(-2, 3, (20, 6))
    subject = np.repeat(rng.permutation(12), templates)
    wanted = rng.integers(0, 20, 80)
    near = [centres[who] + rng.integers(-1, 2, (len(who), 6)) for who in (subject, wanted)]
    return near[0].astype(float), subject * 10, near[1].astype(float), wanted * 10


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("templates", [1, 3])
def test_ranks_and_scores_of_every_probe(seed: int, templates: int, monkeypatch: pytest.MonkeyPatch):
    gallery, subject, probes, wanted = case(seed, templates)
    monkeypatch.setattr(identification, "_BLOCK_SCORES", 7 * len(gallery))
    seen: list[int] = []
    found = search(gallery, subject, probes, wanted, seen.append)
    slow = ranks_and_scores(gallery, subject.tolist(), probes, wanted.tolist())
    assert list(zip(found.rank.tolist(), found.score.tolist(), strict=True)) == slow
    assert seen == [7] * 11 + [3]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("far", [0.5, 0.2, 0.1, 0.03])
def test_dir_is_that_of_the_best_threshold_that_keeps_the_far(seed: int, far: float):
    gallery, subject, probes, wanted = case(seed)
    found = search(gallery, subject, probes, wanted)
    slow = ranks_and_scores(gallery, subject.tolist(), probes, wanted.tolist())
    allowed = int(far * (~found.mated).sum() + 1e-9)
    assert found.dir_at_far(far) == pytest.approx(dir_at_far(slow, allowed), abs=1e-12)
    assert found.dir_near_far(far) <= found.dir_at_far(far)


def test_published_rule_allows_one_false_alarm_less():
    strangers = np.arange(100) / 100
    found = Searches(np.r_[np.zeros(100, int), 1, 1, 1], np.r_[strangers, 0.895, 0.905, 0.915])
    assert found.dir_at_far(0.1) == 1.0  # ten alarms: above 0.89
    assert found.dir_near_far(0.1) == pytest.approx(2 / 3)  # above 0.90, the tenth of them
    assert found.dir_near_far(0.001) == 0.0  # above 0.99


def test_ranks_are_cumulative_and_ties_count_against_the_network():
    gallery = np.array([[1.0, 0], [1.0, 0], [0, 1.0]])
    found = search(gallery, np.array([1, 2, 3]), np.array([[1.0, 0.1], [0.0, 1.0]]), np.array([1, 3]))
    assert found.rank.tolist() == [2, 1]
    assert (found.cmc(1), found.cmc(2)) == (0.5, 1.0)
    assert Searches(np.array([1, 4, 9, 0]), np.zeros(4)).cmc(5) == pytest.approx(2 / 3)


@pytest.mark.parametrize("seed", range(3))
def test_a_weight_is_a_repetition(seed: int):
    found = search(*case(seed))
    times = np.random.default_rng(seed).integers(0, 4, len(found.rank))
    repeated = Searches(found.rank.repeat(times), found.score.repeat(times))
    assert found.figures(times.astype(float)) == pytest.approx(repeated.figures(), nan_ok=True)


def test_all_figures_with_intervals_and_reasons():
    gallery, subject, probes, wanted = case(0)
    found = search(gallery, subject, probes, wanted)
    told = identify(found, wanted, 12, Bootstrap(resamples=50))
    assert list(told.dir_at_far) == ["0.1", "0.01", "0.001"]
    assert list(told.cmc) == ["1", "5", "10"]
    assert told.dir_at_far["0.1"] == found.dir_at_far(0.1)
    assert told.dir_at_far["0.01"] is None
    assert told.missing["dir_at_far.0.01"] == f"{told.strangers} strangers; at least 100 needed"
    low, high = told.intervals["cmc.1"] or (1, 0)
    assert low < (told.cmc["1"] or 0) < high
    assert (told.mated + told.strangers, told.identities) == (80, 12)
    assert json.dumps(told.to_json(), allow_nan=False)
    assert dict((row[0], row[3]) for row in told.rows())["DIR at FAR 0.01"] == told.missing["dir_at_far.0.01"]


def test_subjects_are_resampled_not_probes():
    found = Searches(np.array([1, 2] * 60), np.zeros(120))
    everyone, two = np.arange(120), np.arange(120) % 2
    narrow, wide = (identify(found, who, 2, Bootstrap(resamples=300)).intervals["cmc.1"] for who in (everyone, two))
    assert narrow is not None
    assert wide == (0.0, 1.0)
    assert narrow[0] > 0.35


def test_without_mated_probes_or_strangers_it_says_so():
    bootstrap, who = Bootstrap(resamples=5), np.arange(4)
    none = identify(Searches(np.zeros(4, int), np.zeros(4)), who, 2, bootstrap)
    assert set(none.missing.values()) == {"no mated probes"}
    assert set(none.cmc.values()) == set(none.dir_near_far.values()) == {None}
    closed = identify(Searches(np.ones(4, int), np.zeros(4)), who, 2, bootstrap)
    assert closed.cmc["1"] == 1.0
    assert closed.missing["dir_at_far.0.1"] == "0 strangers; at least 10 needed"
    assert closed.dir_near_far["0.1"] is None


def test_several_galleries_are_averaged_as_published():
    one, two = (
        identify(Searches(np.r_[ranks, np.zeros(10, int)], np.r_[np.ones(len(ranks)), np.zeros(10)]),
                 np.arange(len(ranks) + 10), 3, Bootstrap(resamples=5))
        for ranks in (np.array([1, 1, 1, 2]), np.array([1, 3]))
    )  # fmt: skip
    over = mean([one, two])
    assert over["dir_at_far"] == {"0.1": (0.75 + 0.5) / 2, "0.01": None, "0.001": None}
    assert over["cmc"] == {"1": pytest.approx(4 / 6), "5": 1.0, "10": 1.0}
    assert ("DIR at FAR 0.1", "0.6250", "0.6250", "") in mean_rows(over)
