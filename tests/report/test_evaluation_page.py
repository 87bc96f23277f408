"""The Markdown page of an evaluation: all that it is given, and nothing that breaks its tables or leaks a secret."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from distill.report.evaluation_page import EvaluationPage, write_evaluation

PAGE = EvaluationPage(
    model="student.onnx",
    protocol="iqiyi_light",
    metric="TPR@FPR=0.0001",
    finished="2026-11-25",
    passed=True,
    reasons=(),
    rows=[("TPR at FPR 0.0001", "87.65 %", "63.23 %, 1st *"), ("people", "4", "")],
    notes=["(*) not comparable: other labels (A)"],
    facts=[("list", "a|b.txt"), ("a row is", "f(x), normalised")],
    command="face-distill evaluate tracking.token=PLANTED",
)


@pytest.fixture
def text(tmp_path: Path) -> str:
    write_evaluation(tmp_path / "a.md", PAGE)
    return (tmp_path / "a.md").read_text()


def test_every_row_is_a_row_of_three_cells(text: str):
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert "| TPR at FPR 0.0001 | 87.65 % | 63.23 %, 1st * |" in rows
    assert "| people | 4 |  |" in rows
    assert "| list | a\\|b.txt |" in rows


def test_notes_verdict_and_command(text: str, tmp_path: Path):
    assert "- (*) not comparable: other labels (A)" in text
    assert "Limits of the protocol: **pass**" in text
    assert "PLANTED" not in text
    write_evaluation(tmp_path / "b.md", replace(PAGE, passed=False, reasons=["too large"]))
    failed = (tmp_path / "b.md").read_text()
    assert "**fail**.\n- too large\n" in failed
