"""A model's scores and cost beside a protocol's limits and what others published: the rows of the closing table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol as Interface

from distill.protocol.limits import Protocol
from distill.protocol.published import Published
from distill.protocol.verdict import Verdict

Row = tuple[str, str, str]
"""Quantity, this model, limit or published."""


class PlacedRate(Interface):
    """A true positive rate at a false positive rate; None where ``missing`` is the reason."""

    @property
    def fpr(self) -> float: ...
    @property
    def tpr(self) -> float | None: ...
    @property
    def interval(self) -> tuple[float, float] | None: ...
    @property
    def missing(self) -> str | None: ...


class PlacedScores(Interface):
    """What is shown of scored pairs; ``distill.metrics.allpairs``' ``AllPairs`` is one."""

    @property
    def points(self) -> Sequence[PlacedRate]: ...
    @property
    def rows(self) -> tuple[int, ...]: ...
    @property
    def identities(self) -> int: ...
    @property
    def distractors(self) -> int: ...
    @property
    def genuine(self) -> int: ...
    @property
    def impostor(self) -> int: ...
    @property
    def confidence(self) -> float | None: ...


def table(verdict: Verdict, scores: PlacedScores, board: Sequence[Published]) -> list[Row]:
    """The protocol's own score first, then each rate that there is, the pairs behind them, cost, and others' scores."""
    target = verdict.protocol.far_target
    shown = [point for point in scores.points if point.tpr is not None or point.fpr == target]
    ordered = sorted(shown, key=lambda point: (point.fpr != target, -point.fpr))
    best = next((entry for entry in board if entry.place == 1), None)
    beside = {target: f"{_percent(best.tpr)}, {best.ordinal}{_mark(best)}"} if best else {}
    rows = [_rate(point, beside) for point in ordered]
    rows += [
        (f"{verdict.protocol.kind}s", f"{sum(scores.rows):,}", ""),
        ("people", f"{scores.identities:,}", ""),
        ("distractors", f"{scores.distractors:,}", ""),
        ("genuine pairs", f"{scores.genuine:,}", ""),
        ("impostor pairs", f"{scores.impostor:,}", ""),
        *verdict.rows(),
    ]
    return rows + [(entry.name, "", f"{_percent(entry.tpr)}{_mark(entry)}") for entry in board]


def notes(protocol: Protocol, scores: PlacedScores, board: Sequence[Published]) -> list[str]:
    """Why a figure is missing, what intervals are, why others' figures are not comparable, and where they stand."""
    points = {point.fpr: point for point in scores.points}
    lines = []
    if missing := points[protocol.far_target].missing:
        lines.append(f"{protocol.metric} cannot be measured here: {missing}")
    if scores.confidence is not None:
        lines.append(f"in brackets: {scores.confidence:.0%} intervals, by resampling people")
    lines += [f"(*) not comparable: {reason} ({who})" for reason, who in _grouped(board, "reason") if reason]
    return lines + [f"source of {who}: {source}" for source, who in _grouped(board, "source")]


def _rate(point: PlacedRate, beside: Mapping[float, str]) -> Row:
    name, other = f"TPR at FPR {point.fpr:g}", beside.get(point.fpr, "")
    if point.tpr is None:
        return name, "too few pairs", other
    between = "" if point.interval is None else f" ({100 * point.interval[0]:.2f} to {100 * point.interval[1]:.2f})"
    return name, f"{_percent(point.tpr)}{between}", other


def _grouped(board: Sequence[Published], field: str) -> Iterator[tuple[str, str]]:
    """Each distinct text of a field, with the names of all whose it is."""
    texts = dict.fromkeys(getattr(entry, field) for entry in board)
    for text in texts:
        yield text, ", ".join(entry.who for entry in board if getattr(entry, field) == text)


def _percent(rate: float) -> str:
    return f"{100 * rate:.2f} %"


def _mark(entry: Published) -> str:
    return "" if entry.comparable else " *"
