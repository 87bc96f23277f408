"""Tables at 80 columns, on a terminal and in a log."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.console import Console

from distill.report.terminal import Summary, print_check, print_summary, print_verification

COST = [
    ("counter-FLOPs", "1,022,864,152", "at most 1,000,000,000"),
    ("of these for convolution biases", "2,345,678", ""),
    ("bytes that ship", "20,793,168 (20.79 MB, 19.83 MiB)", "under 20,000,000"),
    ("output", "float32 [N 512] and then a name that is long " + "x" * 60, "float32 [1 512]"),
]
REASON = "1,022,864,152 counter-FLOPs; the limit is 1,000,000,000, and this sentence is longer than eighty columns"


@dataclass(frozen=True)
class Verified:
    accuracy_mean: float
    accuracy_std: float
    auc: float | None
    tpr_at_fpr: Mapping[str, float | None]


STUDENT = Verified(0.925, 0.0123, 0.97, {"0.1": 0.95, "0.01": 0.8, "0.001": None})
TEACHER = Verified(0.991, 0.004, 0.999, {"0.1": 0.999, "0.01": 0.99, "0.001": 0.97})
WHOLE = Summary(Path("runs/a-run"), {"loss": 4.51234, "margin": 4.0}, STUDENT, TEACHER, COST, False, [REASON])


def shown(show: Callable[[Console], None], terminal: bool = False, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    show(Console(file=file, force_terminal=terminal, width=80 if terminal else None, highlight=False))
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("terminal", [False, True])
def test_tables_keep_to_80_columns_and_lose_nothing(terminal: bool, encoding: str) -> None:
    text = shown(lambda console: print_check(COST, False, [], console), terminal, encoding)
    assert max(map(len, text.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines())) <= 80
    assert text.count("x") >= 60
    assert "20,793,168" in text


def test_the_closing_table_has_losses_scores_gap_cost_verdict_and_where_to_look() -> None:
    lines = shown(lambda console: print_summary(WHOLE, console)).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert ["loss", "4.512"] in cells
    assert ["accuracy", "92.50 ± 1.23", "99.10 ± 0.40", "+6.60"] in cells
    assert ["ROC AUC", "97.00", "99.90", "+2.90"] in cells
    assert ["TPR at FPR 0.01", "80.00", "99.00", "+19.00"] in cells
    assert ["TPR at FPR 0.001", "-", "97.00", "-"] in cells
    assert ["counter-FLOPs", "1,022,864,152", "at most 1,000,000,000"] in cells
    assert lines[-4:] == [
        "verdict   FAIL",
        f"  - {REASON}",
        "report    runs/a-run/report.html",
        "all runs  make dashboard",
    ]


def test_without_a_terminal_it_is_plain_text() -> None:
    text = shown(lambda console: print_summary(WHOLE, console))
    assert text.replace("±", "").isascii()


def test_a_stream_that_knows_ascii_only_does_not_end_the_run() -> None:
    text = shown(lambda console: print_summary(WHOLE, console), terminal=True, encoding="ascii")
    assert "92.50 +- 1.23" in text


def test_without_a_teacher_there_is_no_gap() -> None:
    text = shown(lambda console: print_summary(Summary(Path("runs/b"), {}, STUDENT, passed=True), console))
    assert "92.50 ± 1.23" in text
    assert "gap" not in text
    assert "verdict   PASS" in text


def test_the_student_without_a_teacher_stands_between_and_says_where_it_comes_from() -> None:
    baseline = Verified(0.615, 0.03, 0.65, {"0.1": 0.3, "0.01": 0.05, "0.001": None})
    summary = replace(WHOLE, baseline=baseline, baseline_source="recorded 2026-01-02 on a toaster")
    lines = shown(lambda console: print_summary(summary, console)).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert ["verification, %", "student", "baseline", "teacher", "gap"] in cells
    assert ["accuracy", "92.50 ± 1.23", "61.50 ± 3.00", "99.10 ± 0.40", "+6.60"] in cells
    assert max(len(line) for line in lines if line.startswith("|")) <= 80
    [said] = [line for line in lines if line.startswith("baseline ")]
    assert said.endswith("recorded 2026-01-02 on a toaster")


def test_names_in_square_brackets_are_not_taken_for_markup() -> None:
    text = shown(lambda console: print_check([("output", "float32 [bold] [1 512]", "[red]")], True, ["a [b]"], console))
    assert "float32 [bold] [1 512]" in text
    assert "[red]" in text
    assert "a [b]" in text


def test_verification_says_where_the_preprocessing_came_from() -> None:
    rows = [("accuracy", "92.50% ± 1.23%", "91.00% to 93.00% (95 %)"), ("ROC AUC", "-", "no impostor pairs")]
    text = shown(lambda console: print_verification(rows, "metadata of the file: RGB, (x - 127.5) / 128", console))
    assert "91.00% to 93.00% (95 %)" in text
    assert "no impostor pairs" in text
    assert text.splitlines()[-1] == "preprocessing: metadata of the file: RGB, (x - 127.5) / 128"
