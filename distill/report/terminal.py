"""The tables that a job closes with: plain values in, a table of at most 80 columns out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich import box
from rich.console import Console
from rich.table import Table

from distill.format import percent_cell
from distill.report.generations import Generation, generation_notes, generation_tables
from distill.shown import shown

WIDTH = 80


Rows = Sequence[tuple[str, str, str]]
"""What ``Verdict.rows()`` (quantity, measured, limit) and ``Verification.rows()`` (quantity, value, interval) give."""


class ShownVerification(Protocol):
    """What is shown of a verification; ``distill.metrics``' ``Verification`` is one. Fractions; None is undefined."""

    @property
    def accuracy_mean(self) -> float: ...
    @property
    def accuracy_std(self) -> float: ...
    @property
    def auc(self) -> float | None: ...
    @property
    def tpr_at_fpr(self) -> Mapping[str, float | None]: ...


@dataclass(frozen=True)
class Summary:
    """Contents of the closing table of a training run; ``cost`` are the rows of the budget check.

    ``baseline`` is, the same student without a teacher, and ``baseline_source`` is where its figures come from.
    ``generations`` are those of recursive distillation up to this run, or none.
    """

    folder: Path
    losses: Mapping[str, float]
    student: ShownVerification | None = None
    teacher: ShownVerification | None = None
    cost: Rows = ()
    passed: bool | None = None
    reasons: Sequence[str] = ()
    baseline: ShownVerification | None = None
    baseline_source: str = ""
    generations: Sequence[Generation] = ()


def print_summary(summary: Summary, console: Console | None = None) -> None:
    """Losses, verification of student and teacher and their gap, cost and size, verdict, and where to look next."""
    console = console or Console(highlight=False)
    if summary.losses:
        _table(console, ("loss", "last value"), [(name, f"{value:.4g}") for name, value in summary.losses.items()])
    if summary.student is not None:
        _scores(console, summary.student, summary.baseline, summary.teacher)
    if summary.baseline is not None:
        _print(console, f"baseline  the same student and steps without a teacher; {summary.baseline_source}")
    if summary.generations:
        _generations(console, summary.generations)
    if summary.cost:
        _table(console, ("cost", "measured", "limit"), summary.cost)
    if summary.passed is not None:
        _verdict(console, summary.passed, summary.reasons)
    _print(console, f"report    {summary.folder / 'report.html'}")
    _print(console, "all runs  make dashboard")


def print_check(rows: Rows, passed: bool, reasons: Sequence[str], console: Console | None = None) -> None:
    """The budget check of one ONNX file."""
    console = console or Console(highlight=False)
    _table(console, ("cost", "measured", "limit"), rows)
    _verdict(console, passed, reasons)


def print_verification(rows: Rows, preprocessing: str, console: Console | None = None) -> None:
    """The scores of one ONNX file; ``preprocessing`` is its source in words."""
    console = console or Console(highlight=False)
    _table(console, ("verification", "value", "interval"), rows)
    _print(console, f"preprocessing: {preprocessing}")


def print_evaluation(
    title: str,
    rows: Rows,
    passed: bool,
    reasons: Sequence[str],
    notes: Sequence[str],
    console: Console | None = None,
) -> None:
    """An ONNX file by a protocol: its scores and cost beside limits and published figures, the verdict, and notes."""
    console = console or Console(highlight=False)
    _table(console, (title, "this model", "limit, or published"), rows)
    _verdict(console, passed, reasons)
    for note in notes:
        _print(console, f"note      {note}")


def print_judgement(
    tables: Mapping[str, Sequence[Sequence[str]]],
    promoted: bool,
    against: Sequence[str],
    console: Console | None = None,
) -> None:
    """A challenger beside its champion: a table of demands for each set, the verdict, and what speaks against it."""
    console = console or Console(highlight=False)
    for title, rows in tables.items():
        _table(console, (title, "figures", "interval", "margin", ""), rows)
    _print(console, f"verdict   {'PROMOTE' if promoted else 'REJECT'}", "bold green" if promoted else "bold red")
    for reason in against:
        _print(console, f"  - {reason}")


def print_figures(columns: Sequence[str], rows: Sequence[Sequence[str]], console: Console | None = None) -> None:
    """A table of figures, the names in its first column."""
    _table(console or Console(highlight=False), columns, rows)


def print_facts(title: str, rows: Sequence[tuple[str, str]], console: Console | None = None) -> None:
    """A table of names and values."""
    _table(console or Console(highlight=False), (title, ""), rows)


def _scores(
    console: Console, student: ShownVerification, baseline: ShownVerification | None, teacher: ShownVerification | None
) -> None:
    """Each metric of the networks that there are, in per cent, and by how many points the teacher is ahead."""
    others = {name: score for name, score in (("baseline", baseline), ("teacher", teacher)) if score is not None}
    found = {who: {name: (text, value) for name, text, value in _metrics(score)} for who, score in others.items()}
    rows: list[tuple[str, ...]] = []
    for name, text, value in _metrics(student):
        row = [name, text, *(theirs.get(name, ("-", None))[0] for theirs in found.values())]
        if teacher is not None:
            ahead = found["teacher"].get(name, ("-", None))[1]
            row.append("-" if ahead is None or value is None else f"{100 * (ahead - value):+.2f}")
        rows.append(tuple(row))
    _table(console, ("verification, %", "student", *found, *(("gap",) if teacher is not None else ())), rows)


def _generations(console: Console, generations: Sequence[Generation]) -> None:
    """Every set's figures by generation, with paired differences, and which student is better."""
    for place, rows in generation_tables(generations).items():
        _table(console, (place, "value", "difference", "interval"), rows)
    for note in generation_notes(generations):
        _print(console, f"note      {note}")


def _metrics(score: ShownVerification) -> list[tuple[str, str, float | None]]:
    """Name, text and value of each metric."""
    accuracy = f"{100 * score.accuracy_mean:.2f} ± {100 * score.accuracy_std:.2f}"
    return [
        ("accuracy", accuracy, score.accuracy_mean),
        ("ROC AUC", percent_cell(score.auc, ""), score.auc),
        *((f"TPR at FPR {fpr}", percent_cell(tpr, ""), tpr) for fpr, tpr in score.tpr_at_fpr.items()),
    ]


def _verdict(console: Console, passed: bool, reasons: Sequence[str]) -> None:
    _print(console, f"verdict   {'PASS' if passed else 'FAIL'}", "bold green" if passed else "bold red")
    for reason in reasons:
        _print(console, f"  - {reason}")


def _table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Figures to the right, long words folded; ASCII rules where the output is no terminal."""
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else box.ASCII)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_readable(console, cell) for cell in row))
    console.print(table, width=min(WIDTH, console.width), markup=False, highlight=False)


def _print(console: Console, text: str, style: str | None = None) -> None:
    console.print(_readable(console, text), style=style, markup=False, highlight=False, soft_wrap=True)


def _readable(console: Console, text: str) -> str:
    """Text that the console's encoding can show: a table must not end a run on a stream that knows ASCII only."""
    text = shown(text)
    return text.replace("±", "+-") if not console.encoding.lower().startswith("utf") else text
