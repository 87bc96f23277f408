"""The closing table of a night: its data, its student, the verdict with its reasons, and where to look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distill.nightly.pages.closing_table import print_summary
from distill.nightly.service_folder import Night
from nightly.example_nights import record

MAIN = {"kind": "main", "metric": "auc", "finding": "holds", "text": "lfw: better", "set": "lfw", "slice": "all"}
GUARD = {
    "kind": "guard",
    "metric": "auc",
    "finding": "fails",
    "text": "lfw, dark: worse",
    "set": "lfw",
    "slice": "dark",
}
STAGES: dict[str, Any] = {
    "freeze": {"images": 1400, "people": 50, "new_images": 200, "new_people": 3},
    "vet": {"damaged": 1},
    "train": {"from": "v0006", "image_steps": 120_000, "seconds": 61.0},
    "verify": {"sets": {"lfw": {"auc": 0.99}, "new": {"auc": None}}, "champion": {"lfw": {"auc": 0.98}}},
    "judge": {"reasons": [MAIN]},
    "promote": {"outcome": "promoted", "version": "v0007", "before": "v0006"},
}


def table(tmp_path: Path, capsys: pytest.CaptureFixture[str], **changed: Any) -> str:
    done = {stage: record(stage, result, 30.0) for stage, result in {**STAGES, **changed}.items()}
    print_summary(Night(tmp_path, 7), done)
    return " ".join(capsys.readouterr().out.replace("|", " ").split())


def test_a_promotion_says_what_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = table(tmp_path, capsys)
    assert "images 1,400 images (+200)" in out
    assert "people 50 people (+3)" in out
    assert "found 1 damaged" in out
    assert "student warm start from v0006, 120,000 samples seen, 1:01" in out
    assert "AUC on lfw 99.00 %, champion 98.00 %" in out
    assert "AUC on new - time 3:00" in out
    assert "verdict PROMOTED: v0007 is in service, v0006 was before - lfw: better report" in out
    assert out.endswith(f"report {tmp_path}/nights/0007/report.html")


def test_a_rejection_says_what_spoke_against(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    promote = {"outcome": "rejected", "before": "v0006"}
    out = table(tmp_path, capsys, judge={"reasons": [MAIN, GUARD]}, promote=promote, train={"image_steps": 10})
    assert "student from scratch, 10 samples seen" in out
    assert "verdict REJECTED: v0006 stays in service - lfw, dark: worse report" in out
    assert "lfw: better" not in out


def test_a_first_night_has_nothing_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    first = {"sets": {"lfw": {"auc": 0.99}}, "champion": None}
    changed = {"verify": first, "promote": {"outcome": "promoted", "version": "v0001"}}
    out = table(tmp_path, capsys, **changed)
    assert "AUC on lfw 99.00 % time" in out
    assert "PROMOTED: v0001 is in service, nothing was before" in out
