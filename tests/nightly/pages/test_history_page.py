"""The page of the nights: what stands on it, which of the judge's reasons it draws, and what it never does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distill.nightly.pages.figures import SHOWN, data_figures, duration_figures, score_figures
from distill.nightly.pages.history_page import NightsPage, write_nights
from distill.nightly.pages.lines import NightLine, State
from distill.nightly.pages.lines import line_of as line_of_results
from distill.nightly.results import NightResults
from report.test_run_page import Page


def reason(kind: str, metric: str, part: str | None = "all", **figures: Any) -> dict[str, Any]:
    said = {"champion": 0.90, "challenger": 0.92, "difference": 0.02, "interval": [0.01, 0.03], "passed": True}
    return {"kind": kind, "metric": metric, "set": "lfw", "slice": part, "text": f"{kind} {metric}"} | said | figures


def results(*reasons: dict[str, Any], outcome: str = "promoted") -> dict[str, Any]:
    vet = {"damaged": 1, "duplicates": 0, "doubtful_labels": 3, "split_people": 0, "unlabelled": 3}
    return {
        "freeze": {"images": 1000, "people": 50, "new_images": 100, "new_people": 5},
        "vet": vet,
        "check": {"verdict": "PASS", "flops": 995_510_728, "bytes": 19_480_000, "reasons": []},
        "verify": {"sets": {"lfw": {"accuracy_mean": 0.5}, "cfp": {"accuracy_mean": 0.8}}, "champion": None},
        "judge": {"verdict": "promote", "reasons": list(reasons)},
        "promote": {"outcome": outcome, "version": "v0007" if outcome == "promoted" else None},
    }


def line_of(number: int, state: State, results: dict[str, Any], seconds: dict[str, float], **told: Any) -> NightLine:
    """A line of what records hold."""
    return line_of_results(number, state, NightResults.from_json(results), seconds, **told)


def line(number: int = 7, **told: Any) -> NightLine:
    reasons = (reason("floor", "accuracy", champion=None, difference=None), reason("main", "accuracy"))
    return line_of(number, "promoted", results(*reasons), {"train": 5400.0, "freeze": 60.0}, **told)


def page(*nights: NightLine, champion: str | None = "v0007") -> NightsPage:
    return NightsPage("nightly", "2026-11-25", "make nights x.api_key=PLANTED", nights, champion)


def written(tmp_path: Path, shown: NightsPage) -> str:
    write_nights(tmp_path / "nights.html", shown)
    return (tmp_path / "nights.html").read_text(encoding="utf-8")


def words(text: str) -> str:
    return " ".join(Page(text).text.split())


def test_everything_is_on_the_page(tmp_path: Path) -> None:
    text = written(tmp_path, page(line(started="2026-11-25 02:00:04", report="nightly/nights/0007/report.html")))
    for found in ("v0007", "promoted", "92.00 %", "+2.00 (+1.00 to +3.00)", "1,000 images (+100)", "50 people (+5)"):
        assert found in words(text)
    for found in ("1 damaged, 3 doubtful labels", "995.5 MFLOPs", "19.48 MB", "1:31:00", "main accuracy", "(hidden)"):
        assert found in words(text)
    assert Page(text).addresses == ["nightly/nights/0007/report.html"]
    assert "PLANTED" not in text


def test_the_judge_s_main_reason_wins_over_the_floor_and_slices_are_no_score(tmp_path: Path) -> None:
    shown = line_of(
        1,
        "rejected",
        results(
            reason("guard", "auc", challenger=0.97),
            reason("floor", "accuracy", champion=None, difference=None, interval=[0.9, 0.94]),
            reason("main", "accuracy"),
            reason("guard", "accuracy", "dark", challenger=0.1),
            outcome="rejected",
        ),
        {},
    )
    assert [(c.set, c.metric, c.challenger) for c in shown.comparisons] == [
        ("lfw", "accuracy", 0.92),
        ("lfw", "auc", 0.97),
    ]
    assert shown.comparisons[0].champion == 0.9
    assert shown.comparisons[0].around == pytest.approx((0.91, 0.93))
    assert page(shown).keys[0] == ("lfw", "accuracy")


def test_where_nothing_was_judged_the_scores_of_the_folds_are_shown() -> None:
    shown = line_of(1, "unfinished", results(), {})
    assert [(c.set, c.metric, c.challenger) for c in shown.comparisons] == [
        ("lfw", "accuracy_mean", 0.5),
        ("cfp", "accuracy_mean", 0.8),
    ]


def test_what_too_few_pairs_cannot_tell_is_no_reason_against(tmp_path: Path) -> None:
    said = [
        reason("guard", "auc", finding="holds"),
        reason("guard", "auc", "dark", finding="too few pairs to tell"),
        reason("guard", "auc", "old", finding="fails", passed=False),
    ]
    shown = line_of(1, "rejected", results(*said, outcome="rejected"), {})
    assert [finding for finding, _ in shown.reasons] == ["holds", "not known", "fails"]
    assert shown.remark == "1 of 3 reasons against"


def test_what_kept_a_student_out_is_said_once() -> None:
    said = results(reason("main", "auc"), outcome="rejected")
    said["promote"]["reason"] = "v0002 was taken out"
    assert line_of(1, "rejected", said, {}).reasons[-1] == ("fails", "v0002 was taken out")
    said["check"]["reasons"] = ["too large"]
    said["judge"]["reasons"] = [reason("requirement", "check", passed=False, text="check: too large")]
    assert line_of(1, "rejected", said, {}).reasons == [("fails", "check: too large")]
    said["judge"]["reasons"] = []
    assert line_of(1, "rejected", said, {}).reasons == [("fails", "too large")]


def test_without_a_champion_the_interval_is_the_student_s_own() -> None:
    first = line_of(1, "promoted", results(reason("floor", "accuracy", champion=None, interval=[0.9, 0.94])), {})
    assert first.comparisons[0].around == (0.9, 0.94)
    assert first.comparisons[0].gap_text == ""


def test_a_night_without_records_is_a_row_of_dashes(tmp_path: Path) -> None:
    bare = line_of(1, "unfinished", {}, {}, note="nothing is done yet")
    text = words(written(tmp_path, page(bare, champion=None)))
    assert "nothing is done yet" in text
    assert "No night has been scored yet." in text
    assert "no student was promoted yet" in text
    assert bare.data_text == ("-", "-")
    assert (bare.findings_text, bare.duration_text, bare.cost_text) == ("-", "-", ("-", "-"))


def test_no_nights_at_all(tmp_path: Path) -> None:
    text = words(written(tmp_path, page(champion=None)))
    assert "There are no nights here yet." in text
    assert "make nightly" in text


def test_a_rollback_is_seen(tmp_path: Path) -> None:
    night = line()
    assert "Rolled back." not in words(written(tmp_path, page(night)))
    text = words(written(tmp_path, page(replace(night, number=6, version="v0006"), night, champion="v0006")))
    assert "Rolled back. v0006 is in service; the last promotion was v0007, on night 7." in text
    assert "from night 6, rolled back to" in text


def test_nothing_is_fetched_and_nothing_runs(tmp_path: Path) -> None:
    text = written(tmp_path, page(line()))
    assert not {"script", "link", "iframe", "object", "img"} & set(Page(text).tags)
    assert not any(word in text for word in ("http:", "https:", "url(", "@import"))


def test_words_from_outside_are_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'"
    told = results(reason("main", evil, set=evil, text=evil))
    shown = line_of(1, "failed", told, {}, note=evil, report=evil, started=evil)
    text = written(tmp_path, NightsPage(evil, evil, evil, [shown], evil))
    assert "script" not in Page(text).tags
    assert Page(text).text.count("alert(1)") > 5


def test_charts_go_back_so_far_and_the_table_has_all(tmp_path: Path) -> None:
    nights = [replace(line(), number=number) for number in range(1, SHOWN + 11)]
    (figure, *_) = score_figures(nights, [("lfw", "accuracy")])
    assert figure.svg.count("<circle") == SHOWN
    assert Page(written(tmp_path, page(*nights))).tags.count("tr") == 1 + SHOWN + 10


def test_time_has_a_unit_that_suits_it() -> None:
    for seconds, unit, text in (
        (90.0, "seconds", "night 1, train: 90"),
        (600.0, "minutes", "night 1, train: 10"),
        (9000.0, "hours", "night 1, train: 2.5"),
    ):
        (figure,) = duration_figures([line_of(1, "promoted", {}, {"train": seconds})])
        assert figure.note == unit
        assert f">{text}<" in figure.svg


def test_data_that_are_missing_leave_a_gap() -> None:
    nights = [line(1), line_of(2, "failed", {}, {}), line(3)]
    images = data_figures(nights)[0]
    assert images.legend == ((1, "images", "1000"),)
    assert images.svg.count(",") >= 2


def test_one_of_a_kind_is_told_in_the_singular() -> None:
    found = {"damaged": 1, "duplicates": 1, "doubtful_labels": 1, "split_people": 1}
    assert NightLine(1, "promoted", findings=found).findings_text == (
        "1 damaged, 1 duplicate, 1 doubtful label, 1 split person"
    )
    assert NightLine(1, "promoted", findings={"split_people": 2}).findings_text == "2 split people"
