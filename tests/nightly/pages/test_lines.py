"""A night in figures and words, from what its stages left: as much as there is, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from distill.judge.judgement import ALL
from distill.nightly.pages.lines import Comparison, NightLine, State, line_of
from distill.nightly.results import NightResults


def reason(kind: str, finding: str, name: str | None = "lfw", part: str | None = ALL, **figures: Any) -> dict[str, Any]:
    told = {"kind": kind, "metric": "auc", "finding": finding, "text": f"{kind} {part}", "set": name, "slice": part}
    return {**told, **figures}


MAIN = reason("main", "holds", champion=0.90, challenger=0.95, interval=[0.01, 0.09])
SLICE = reason("guard", "too few pairs to tell", part="dark", champion=0.9, challenger=0.8)
STAGES: dict[str, Any] = {
    "freeze": {"images": 1400, "people": 50, "new_images": 200, "new_people": 0},
    "vet": {"damaged": 1, "duplicates": 2, "doubtful_labels": 1},
    "check": {"verdict": "PASS", "flops": 995_510_728, "bytes": 19_480_000},
    "verify": {"sets": {"lfw": {"accuracy_mean": 0.94}}, "champion": {"lfw": {"accuracy_mean": 0.93}}},
    "judge": {"reasons": [SLICE, MAIN]},
    "promote": {"outcome": "promoted", "version": "v0007", "before": "v0006"},
}


def line(state: State = "promoted", without: tuple[str, ...] = (), **changed: Any) -> NightLine:
    stages = {stage: result for stage, result in {**STAGES, **changed}.items() if stage not in without}
    return line_of(7, state, NightResults.from_json(stages), {"freeze": 40.0, "train": 3600.0})


def test_a_night_with_everything():
    told = line()
    assert told.remark == "v0007"
    assert told.data_text == ("1,400 images (+200)", "50 people")
    assert told.findings_text == "1 damaged, 2 duplicates, 1 doubtful label"
    assert told.cost_text == ("995.5 MFLOPs", "19.48 MB")
    assert (told.total_s, told.duration_text) == (3640.0, "1:00:40")


def test_a_night_of_which_nothing_is_known():
    told = line_of(7, "unfinished", NightResults(), {}, note="nothing is done yet")
    assert told.remark == "nothing is done yet"
    assert (*told.data_text, *told.cost_text, told.findings_text, told.duration_text) == ("-",) * 6
    assert (list(told.comparisons), list(told.reasons)) == ([], [])


def test_only_whole_sets_are_compared_and_each_figure_once():
    guard = reason("guard", "holds", champion=0.1, challenger=0.2)
    part = reason("guard", "holds", part="dark", champion=0.1, challenger=0.2, metric="accuracy")
    (found,) = line(judge={"reasons": [SLICE, part, guard, MAIN]}).comparisons
    assert found == Comparison("lfw", "auc", 0.95, 0.90, (0.01, 0.09)), "the main reason stands for its figure"
    assert found.gap_text == "+5.00 (+1.00 to +9.00)"
    assert found.around == pytest.approx((0.91, 0.99))
    assert line().score(("lfw", "auc")) == found
    assert line().score(("other", "auc")) is None


def test_without_a_judgement_the_folds_are_compared():
    (found,) = line(without=("judge",)).comparisons
    assert (found.key, found.challenger, found.champion) == (("lfw", "accuracy_mean"), 0.94, 0.93)
    assert found.around is None
    alone: dict[str, Any] = {"verify": {"sets": {"lfw": {"accuracy_mean": 0.94}}, "champion": None}}
    (first,) = line("promoted", ("judge",), **alone).comparisons
    assert (first.champion, first.gap_text) == (None, "")


def test_too_few_pairs_speak_neither_for_nor_against():
    assert list(line().reasons) == [("not known", "guard dark"), ("holds", "main all")]
    rejected = line("rejected", judge={"reasons": [SLICE, reason("main", "fails")]}, promote={"outcome": "rejected"})
    assert rejected.remark == "1 of 2 reasons against"


def test_what_kept_a_student_out_without_a_judgement_is_told():
    check = {"verdict": "FAIL", "reasons": ["too large", "too slow"]}
    told = line("rejected", ("judge",), check=check, promote={"outcome": "rejected", "reason": "not judged"})
    assert list(told.reasons) == [("fails", "too large"), ("fails", "too slow")]
    late = {"outcome": "rejected", "reason": "another champion since"}
    assert list(line("rejected", promote=late).reasons)[-1] == ("fails", "another champion since")
