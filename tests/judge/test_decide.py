from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from distill.config.scoring_jobs import JudgeConf, MarginsConf
from distill.errors import UserError
from distill.judge import decide as judge_module
from distill.judge.benchmark import Benchmark
from distill.judge.comparison import Case, Compared
from distill.judge.decide import Facts, Requirement, judge
from distill.judge.judgement import Judgement, Reason
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.paired import Estimate, Metric
from distill.metrics.verification import verify_distances
from reference.scored_pairs import ScoredPairs

PASSED = Requirement(True, "fine")
OLD_DATA, NEW_DATA = Facts(PASSED, PASSED, False), Facts(PASSED, PASSED, True)
QUICK = JudgeConf(resamples=200, fpr=0.1)


def by_name(found: Judgement) -> dict[tuple[str | None, str | None, str], Reason]:
    return {(reason.set, reason.slice, reason.metric): reason for reason in found.reasons}


def against(found: Judgement) -> set[tuple[str | None, str]]:
    return {(reason.slice, reason.metric) for reason in found.against}


def test_every_figure_of_every_slice_is_a_reason_with_its_figures():
    case = ScoredPairs(groups={"a": 300, "b": 400}).draw(0)
    found = judge([case], QUICK, NEW_DATA)
    slices = ["all", "group=a", "group=b"]
    metrics = ["accuracy", "auc", "tpr_at_fpr_0.1"]
    expected = {("set", s, m) for s in slices for m in metrics} | {(None, None, "check"), (None, None, "parity")}
    reasons = by_name(found)
    assert set(reasons) == expected
    assert len(reasons) == len(found.reasons)
    assert case.champion is not None
    for scores, who in ((case.champion, "champion"), (case.challenger, "challenger")):
        known = verify_distances(scores, case.benchmark.same, bootstrap=Bootstrap(resamples=5))
        assert getattr(reasons["set", "all", "auc"], who) == pytest.approx(known.auc)
        assert getattr(reasons["set", "all", "accuracy"], who) == pytest.approx(known.accuracy_mean)
    for reason in found.reasons[2:]:
        assert reason.champion is not None
        assert reason.challenger is not None
        assert reason.interval is not None
        assert reason.difference == pytest.approx(reason.challenger - reason.champion)
        assert reason.interval[0] < reason.challenger - reason.champion < reason.interval[1]
        assert reason.margin == (QUICK.margin if reason.slice == "all" else QUICK.slice_margin).of(
            Metric(reason.metric.removesuffix("_0.1"))
        )
        for figure in (f"{reason.champion:.4f} to {reason.challenger:.4f}", f"{reason.interval[0]:+.4f}"):
            assert figure in reason.text


def test_a_clearly_better_challenger_is_promoted_and_the_exchange_is_not():
    case = ScoredPairs(champion=0.90, challenger=0.96).draw(1)
    there = judge([case], QUICK, OLD_DATA)
    assert there.promoted, there.against
    assert by_name(there)["set", "all", "auc"].text.endswith(": better")
    assert case.champion is not None
    back = judge([replace(case, challenger=case.champion, champion=case.challenger)], QUICK, NEW_DATA)
    assert not back.promoted
    assert ("all", "auc") in against(back)
    assert "worse by more than the margin of 0.01" in by_name(back)["set", "all", "auc"].text
    for one, other in zip(there.reasons[2:], back.reasons[2:], strict=True):
        assert one.difference == pytest.approx(-(other.difference or 0), abs=1e-15)
        assert one.interval is not None
        assert other.interval is not None
        assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_model_against_itself_is_neither_better_nor_worse(seed: int):
    case = ScoredPairs(groups={"a": 300, "b": 400}).draw(seed)
    case = replace(case, champion=case.challenger)
    old, new = judge([case], QUICK, OLD_DATA), judge([case], QUICK, NEW_DATA)
    assert against(old) == {("all", "auc")}, "not better, and nothing else speaks against it"
    assert "neither better nor of newer data" in old.against[0].text
    assert new.promoted
    assert all(reason.difference == 0 for reason in new.reasons[2:])
    assert not any("worse" in reason.text and "not worse" not in reason.text for reason in new.reasons)
    assert not any("better" in reason.text for reason in new.reasons)


def test_a_loss_in_one_slice_that_the_average_hides_is_found():
    planted = ScoredPairs(
        champion=0.93, challenger=0.97, pairs=4000, groups={"many": 3200, "few": 500}, inside={"few": 0.82}
    )
    found = judge([planted.draw(0)], QUICK, NEW_DATA)
    reasons = by_name(found)
    assert reasons["set", "all", "auc"].text.endswith(": better"), "on average it is a gain"
    assert {slice_name for slice_name, _ in against(found)} == {"group=few"}
    assert "worse by more than the margin of 0.03" in reasons["set", "group=few", "auc"].text
    assert judge([replace(planted, inside={}).draw(0)], QUICK, NEW_DATA).promoted


def test_a_loss_on_another_set_rejects():
    sets = [ScoredPairs(challenger=0.97, name="a").draw(0), ScoredPairs(challenger=0.90, name="b").draw(1)]
    found = judge(sets, QUICK, NEW_DATA)
    assert {reason.set for reason in found.against} == {"b"}
    other = judge(sets, replace(QUICK, main_set="b"), NEW_DATA)
    assert other.reasons[2].set == "b"
    assert other.reasons[2].kind == "main"
    with pytest.raises(UserError, match=r"^judge\.main_set is 'c'; expected one of a, b$"):
        judge(sets, replace(QUICK, main_set="c"), NEW_DATA)


def test_few_pairs_tell_nothing_alone_but_count_together():
    groups = {f"g{k}": 36 for k in range(12)}
    case = ScoredPairs(pairs=2000, groups=groups, challenger=0.98, inside=dict.fromkeys(groups, 0.75)).draw(0)
    found = judge([case], replace(QUICK, margin=MarginsConf(0.5, 0.5, 0.5)), NEW_DATA)
    small = [reason for reason in found.reasons if (reason.slice or "").startswith("group=g")]
    assert len(small) == 36
    assert {reason.finding for reason in small} == {"too few pairs to tell"}
    assert all(reason.passed and reason.interval is None for reason in small)
    told = by_name(found)["set", "group=g0", "accuracy"].text
    assert told.endswith(": too few pairs to tell (36 pairs; 59 needed for a margin of 0.05)")
    assert {slice_name for slice_name, _ in against(found)} == {"group: 12 small groups"}


def test_a_main_set_of_few_pairs_rejects():
    found = judge([ScoredPairs(pairs=400, challenger=0.999).draw(0)], QUICK, NEW_DATA)
    assert against(found) == {("all", "auc")}
    assert (
        "too few pairs to tell (200 pairs of the rarer kind; 299 needed for a margin of 0.01)" in found.against[0].text
    )


def test_a_rare_false_positive_needs_impostors():
    found = by_name(judge([ScoredPairs().draw(0)], replace(QUICK, fpr=0.01), NEW_DATA))
    reason = found["set", "all", "tpr_at_fpr_0.01"]
    assert reason.finding == "too few pairs to tell"
    assert "400 impostor pairs in the set; 3000 needed at this FPR" in reason.text


def test_people_count_where_they_are_known():
    case = ScoredPairs().draw(0)
    people = np.repeat(np.arange(80), 10)
    persons = np.stack([people, np.where(case.benchmark.same, people, (people + 1) % 80)], 1)
    known = replace(case, benchmark=replace(case.benchmark, persons=persons))
    found = judge([known], QUICK, NEW_DATA)
    assert "80 pairs or people of the rarer kind; 299 needed" in found.against[0].text
    assert found.sets["set"] == {"sha256": "0" * 64, "pairs": 800, "people": 80}


@pytest.mark.parametrize("who", ["challenger", "champion", "anchor"])
def test_scores_that_are_no_numbers_reject(who: str):
    case = ScoredPairs(challenger=0.99).draw(0)
    case = replace(case, anchor=case.champion)
    scores = getattr(case, who).copy()
    scores[[3, 5]] = np.nan, np.inf
    found = judge([replace(case, **{who: scores}, trouble="broken")], QUICK, NEW_DATA)
    assert not found.promoted
    (reason,) = found.against
    assert (reason.kind, reason.metric, reason.set) == ("requirement", "scores", "set")
    assert f"the {who} has no finite score for 2 of 800 pairs" in reason.text
    assert reason.text.endswith(": broken") == (who == "challenger")


@pytest.mark.parametrize("which", ["check", "parity"])
def test_what_failed_before_rejects_the_best_challenger(which: str):
    case = ScoredPairs(champion=0.90, challenger=0.97).draw(0)
    facts = replace(NEW_DATA, **{which: Requirement(False, "19.54 MB of 10 MB")})
    found = judge([case], QUICK, facts)
    assert not found.promoted
    assert [reason.text for reason in found.against] == [f"{which}: 19.54 MB of 10 MB"]


def test_the_first_champion_needs_the_floor_alone():
    case = replace(ScoredPairs(challenger=0.93).draw(0), champion=None)
    found = judge([case], QUICK, OLD_DATA)
    assert found.promoted
    floor = found.reasons[-1]
    assert (floor.kind, floor.champion, floor.difference) == ("floor", None, None)
    assert floor.interval is not None
    assert floor.interval[0] < (floor.challenger or 0) < floor.interval[1]
    higher = replace(QUICK, floor=(floor.interval[0] + (floor.challenger or 0)) / 2)
    rejected = judge([case], higher, NEW_DATA)
    assert not rejected.promoted, "the figure lies above the floor, but not certainly"
    assert "not certainly the floor of 0.9" in rejected.against[0].text


def test_the_floor_holds_with_a_champion_too():
    case = ScoredPairs(champion=0.6, challenger=0.7).draw(0)
    found = judge([case], QUICK, NEW_DATA)
    assert not found.promoted
    assert ": better; not certainly the floor of 0.7, " in found.against[0].text


def test_small_losses_of_many_nights_are_one_large_loss_against_the_anchor():
    begun = ScoredPairs(champion=0.97, challenger=0.93).draw(0)
    case = replace(begun, champion=begun.challenger, anchor=begun.champion)
    assert judge([replace(case, anchor=None)], QUICK, NEW_DATA).promoted
    found = judge([case], QUICK, NEW_DATA)
    assert {(reason.kind, reason.slice) for reason in found.against} == {("anchor", "against the anchor")}
    assert "auc" in {reason.metric for reason in found.against}
    assert all(reason.text.startswith("against the anchor, set: ") for reason in found.against)
    assert judge([replace(case, anchor=case.champion)], QUICK, NEW_DATA).promoted


def test_a_set_of_one_kind_is_told_and_not_judged_by_areas():
    same = np.ones(800, bool)
    distances = np.random.default_rng(0).random(800)
    genuine = Case(Benchmark("old", same, {}, None, "0"), distances, distances)
    found = by_name(judge([ScoredPairs(challenger=0.98).draw(0), genuine], QUICK, NEW_DATA))
    assert found["old", "all", "accuracy"].finding == "holds"
    assert (
        found["old", "all", "auc"].finding == found["old", "all", "tpr_at_fpr_0.1"].finding == "too few pairs to tell"
    )
    assert found["old", "all", "auc"].difference is None


def test_the_record_has_what_others_read():
    found = judge([ScoredPairs().draw(0)], QUICK, NEW_DATA)
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert record["verdict"] in ("promote", "reject")
    keys = {"metric", "set", "slice", "champion", "challenger", "difference", "interval", "margin", "passed", "text"}
    assert all(keys <= reason.keys() for reason in record["reasons"])
    assert record["settings"]["margin"] == {"accuracy": 0.03, "auc": 0.01, "tpr_at_fpr": 0.05}
    assert judge([ScoredPairs().draw(0)], QUICK, NEW_DATA) == found, "the same scores give the same verdict"


@dataclass
class Found:
    """What the pairs are to say: intervals whose ends lie on other sides of a limit than the figure between them."""

    main: tuple[float, float, float] = (0.02, 0.001, 0.05)
    guard: tuple[float, float, float] = (0.0, -0.01, 0.01)
    own: tuple[float, float, float] = (0.9, 0.8, 0.95)

    def judged(self, monkeypatch: pytest.MonkeyPatch, facts: Facts = OLD_DATA, first: bool = False) -> Judgement:
        """The main figure is the AUC of all pairs; the one guard is their accuracy, with a margin of 0.05."""

        def compare(case: Case, settings: JudgeConf) -> list[Compared]:
            figures = ((Metric.accuracy, 0.05, self.guard), (Metric.auc, 0.01, self.main))
            return [
                Compared("set", "all", metric, margin, Estimate(*self.own), 0.88, Estimate(*difference), "")
                for metric, margin, difference in figures
            ]

        monkeypatch.setattr(judge_module, "compare", compare)
        case = ScoredPairs().draw(0)
        return judge([replace(case, champion=None) if first else case], QUICK, facts)


BETTER, EQUAL, NOT = "better", "equal within the margin", "not better"


@pytest.mark.parametrize(
    ("main", "words"),
    [
        ((0.02, 0.001, 0.05), BETTER),
        ((0.02, 0.0, 0.05), EQUAL),  # an end that meets zero shows no gain
        ((0.02, -0.001, 0.05), EQUAL),  # nor does a figure that lies above it
        ((-0.005, -0.0099, 0.001), EQUAL),
        ((0.02, -0.01, 0.05), EQUAL),
        ((0.02, -0.0101, 0.05), NOT),  # a gain that may be a loss beyond the margin
        ((-0.005, -0.0101, 0.001), NOT),
    ],
)
def test_better_and_equal_are_what_the_lower_end_shows(monkeypatch, main: tuple[float, float, float], words: str):
    old, new = (Found(main=main).judged(monkeypatch, facts) for facts in (OLD_DATA, NEW_DATA))
    assert (old.promoted, new.promoted) == {BETTER: (True, True), EQUAL: (False, True), NOT: (False, False)}[words]
    assert f": {words}" in by_name(old)["set", "all", "auc"].text


@pytest.mark.parametrize(
    ("guard", "holds", "words"),
    [
        ((0.0, -0.05, 0.1), True, "not worse by more than 0.05"),
        ((-0.06, -0.05, 0.1), True, "not worse by more than 0.05"),
        (
            (0.03, -0.0501, 0.1),
            False,
            "a loss of more than 0.05 is not ruled out; at equal figures these pairs rule out",
        ),
        ((-0.04, -0.0501, 0.1), False, "a loss of more than 0.05 is not ruled out; at equal figures these pairs rule"),
        ((-0.06, -0.1, 0.0), False, "a loss of more than 0.05 is not ruled out"),
        ((-0.06, -0.1, -0.001), False, "worse, and more than the margin of 0.05 is not ruled out"),
        ((-0.06, -0.1, -0.05), False, "worse, and more than the margin of 0.05 is not ruled out"),
        ((-0.06, -0.1, -0.0501), False, "worse by more than the margin of 0.05"),
    ],
)
def test_a_guard_holds_by_its_lower_end_and_tells_of_its_upper_one(
    monkeypatch, guard: tuple[float, float, float], holds: bool, words: str
):
    found = Found(guard=guard).judged(monkeypatch)
    assert found.promoted == holds
    assert found.to_json()["verdict"] == ("promote" if holds else "reject")
    assert f": {words}" in by_name(found)["set", "all", "accuracy"].text


def test_the_loss_that_pairs_rule_out_is_from_the_figure_to_the_lower_end(monkeypatch):
    text = by_name(Found(guard=(0.01, -0.08, 0.03)).judged(monkeypatch))["set", "all", "accuracy"].text
    assert text.endswith("rule out one of 0.0900")


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("low", "reached"), [(0.7001, True), (0.7, True), (0.6999, False), (0.1, False)])
def test_the_floor_is_reached_by_the_lower_end(monkeypatch, first: bool, low: float, reached: bool):
    found = Found(own=(0.9, low, 0.95)).judged(monkeypatch, first=first)
    assert found.promoted == reached
    (reason,) = (reason for reason in found.reasons if reason.kind in ("floor", "main"))
    assert ("not certainly the floor of 0.7" in reason.text) != reached
    assert reason.interval == ((low, 0.95) if first else (0.001, 0.05))


def test_an_anchor_s_guards_are_of_the_whole_set_and_of_every_figure_of_it():
    case = ScoredPairs(groups={"a": 300, "b": 400}).draw(0)
    found = judge([replace(case, anchor=case.champion)], QUICK, NEW_DATA)
    anchored = [reason for reason in found.reasons if reason.kind == "anchor"]
    assert [reason.metric for reason in anchored] == ["accuracy", "auc", "tpr_at_fpr_0.1"]
    assert [reason.margin for reason in anchored] == [0.03, 0.01, 0.05]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_single_score_that_is_no_number_is_enough(value: float):
    case = ScoredPairs(challenger=0.99).draw(0)
    case.challenger[7] = value
    assert not judge([case], QUICK, NEW_DATA).promoted


def test_a_main_figure_of_too_few_pairs_makes_no_first_champion():
    case = replace(ScoredPairs(pairs=400, challenger=0.999).draw(0), champion=None)
    found = judge([case], QUICK, NEW_DATA)
    assert not found.promoted
    assert (found.reasons[-1].kind, found.reasons[-1].finding) == ("floor", "fails")


def test_settings_that_nobody_gives_are_these():
    plain = JudgeConf()
    assert (plain.main, plain.main_set, plain.fpr, plain.floor) == (Metric.auc, None, 0.01, 0.7)
    assert (plain.confidence, plain.resamples, plain.seed) == (0.95, 1000, 0)
    assert (plain.margin, plain.slice_margin) == (MarginsConf(0.03, 0.01, 0.05), MarginsConf(0.05, 0.03, 0.1))


@pytest.mark.parametrize(("confidence", "least"), [(0.95, 100), (0.9, 50), (0.99, 500)])
def test_resamples_are_as_many_as_an_end_of_an_interval_needs(confidence: float, least: int):
    assert JudgeConf(confidence=confidence, resamples=least).resamples == least
    with pytest.raises(UserError, match=rf"resamples is {least - 1}; expected a number of {least} or more"):
        JudgeConf(confidence=confidence, resamples=least - 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"confidence": 0.5}, "judge.confidence is 0.5; expected a number between 0.5 and 1"),
        ({"fpr": 0.0}, "judge.target_fpr is 0; expected a number between 0 and 1"),
        ({"floor": 1.0}, "judge.min_score is 1; expected a number between 0 and 1"),
        ({"resamples": 99}, "judge.resamples is 99; expected a number of 100 or more at this confidence"),
        ({"seed": -1}, "judge.seed is -1; expected a number that is not negative"),
        ({"margin": MarginsConf(0.1, 0.0, 0.1)}, "judge.margin.auc is 0; expected a number between 0 and 1"),
        (
            {"slice_margin": MarginsConf(2, 0.1, 0.1)},
            "judge.slice_margin.accuracy is 2; expected a number between 0 and 1",
        ),
        ({"margin": MarginsConf(0.1, float("nan"), 0.1)}, "judge.margin.auc is nan; expected a number between 0 and 1"),
    ],
)
def test_settings_without_sense_are_one_line(change: dict, told: str):
    with pytest.raises(UserError) as error:
        JudgeConf(**change)
    assert str(error.value) == told
