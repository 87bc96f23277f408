"""A night's page: what decided stands first, every reason has its figures, and nothing in the data becomes markup."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distill.judge.judgement import Judgement, Reason
from distill.nightly.pages.night_page import MOST_FINDINGS, NightReport, write_night_report
from distill.nightly.results import JudgeResult, NightResults


def reasons(passed: bool) -> list[dict[str, Any]]:
    told = "holds" if passed else "fails"
    found = [
        Reason("requirement", "check", "holds", "check: within the limits"),
        Reason("main", "auc", told, "lfw: auc 0.9 to 0.8", "lfw", "all", 0.9, 0.8, -0.1, (-0.12, -0.08), 0.01),
        Reason("floor", "auc", "holds", "lfw: auc", "lfw", "all", None, 0.8),
    ]
    return [reason.to_json() for reason in found]


def report(passed: bool = True, findings: int = 1, **promote: Any) -> NightReport:
    given = {"outcome": "promoted" if passed else "rejected", "version": "v0007" if passed else None}
    finding = {"kind": "damaged", "drop": "<b>d1</b>", "file": "a.jpg", "text": "is damaged & left out"}
    results = {
        "freeze": {"images": 1200, "people": 30, "new_images": 200, "new_people": 2},
        "vet": {"damaged": findings, "duplicates": 0, "doubtful_labels": 0, "split_people": 0}
        | {"findings": [finding] * findings},
        "train": {"image_steps": 32, "from": "v0006"},
        "check": {"flops": 9, "bytes": 9, "reasons": []},
        "verify": {"sets": {}, "champion": None},
        "judge": {"reasons": reasons(passed)},
        "promote": {**given, "before": "v0006", "reason": "", **promote},
    }
    return NightReport(
        7,
        NightResults.from_json(results),
        {"freeze": 1.0, "train": 3600.0},
        "2026-01-01T02:00:00+00:00",
        "run/report.html",
    )


def page(tmp_path: Path, shown: NightReport) -> str:
    write_night_report(tmp_path / "report.html", shown)
    return (tmp_path / "report.html").read_text()


def test_a_promoted_night(tmp_path: Path):
    text = page(tmp_path, report())
    assert '<span class="badge">promoted</span>' in text
    assert "before: v0006" in text
    assert "1:00:01" in text
    assert "&lt;b&gt;d1&lt;/b&gt;" in text
    assert "<b>d1" not in text
    assert "is damaged &amp; left out" in text
    assert 'href="run/report.html"' in text
    assert "http" not in text.replace("http://www.w3.org", "")


def test_a_rejected_night_begins_with_what_speaks_against_it(tmp_path: Path):
    shown = report(passed=False)
    assert shown.against == ["lfw: auc 0.9 to 0.8"]
    text = page(tmp_path, shown)
    assert text.index("lfw: auc 0.9 to 0.8") < text.index("<h2>Verdict</h2>")
    assert "as before" in text


def test_a_version_that_was_withdrawn_says_so():
    refused = report(outcome="rejected", version=None, reason="v0007 was taken out of service")
    assert refused.against == ["v0007 was taken out of service"]


def test_what_too_few_pairs_cannot_tell_did_not_pass(tmp_path: Path):
    told = Reason("guard", "auc", "too few pairs to tell", "lfw: 20 pairs", "lfw", "age=old", 0.9, 0.8)
    shown = report()
    shown = replace(shown, results=replace(shown.results, judge=JudgeResult(Judgement((told,), {}, {}))))
    assert shown.figures[-1][-1] == "too few"
    assert 'class="found too-few">too few<' in page(tmp_path, shown)


def test_a_finding_names_its_picture(tmp_path: Path):
    assert "a.jpg" in page(tmp_path, report())


def test_figures_are_in_per_cent_and_points():
    (main, floor) = report().figures
    assert main[0] == "lfw all auc"
    gap = "-10.00 (-12.00 to -8.00)".replace("-", "\N{MINUS SIGN}")
    assert main[1:] == ("90.00", "80.00", gap, "1", "passed")
    assert floor[1:] == ("-", "80.00", "-", "-", "passed")
    assert report().demands == [(True, "check: within the limits")]


@pytest.mark.parametrize(("count", "shown"), [(3, 3), (MOST_FINDINGS + 20, MOST_FINDINGS)])
def test_a_page_does_not_grow_with_what_is_found(count: int, shown: int):
    assert len(report(findings=count).findings) == shown
