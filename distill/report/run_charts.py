"""Which charts a report shows, from the run's series and scores."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from distill.report.charts import LINEAR, ChartLine, Figure, Scale, curves, histogram, roc
from distill.report.scores import VerificationScores

Series = Mapping[str, Sequence[tuple[int, float]]]
COLOURS = 8
STUDENT, TEACHER, GENUINE, IMPOSTOR = 1, 2, 3, 7


@dataclass(frozen=True)
class SeriesChart:
    """The series whose full name matches ``pattern``, in one chart."""

    title: str
    pattern: str
    note: str = ""
    scale: Scale = LINEAR


PERCENT = Scale(percent=True)
TRAINING = (
    SeriesChart("Accuracy during training", r"verification/(.+/)?accuracy", scale=PERCENT),
    SeriesChart("TPR at fixed FPR", r"verification/(.+/)?tpr_at_fpr_.+", scale=PERCENT),
    SeriesChart("ROC AUC", r"verification/(.+/)?auc", scale=PERCENT),
    SeriesChart("Total loss", r"loss"),
    SeriesChart("Loss terms, weighted", r"weighted/.+", "added to the total"),
    SeriesChart("Loss terms, raw", r"raw/.+", "before weights; logarithmic", Scale(log=True)),
    SeriesChart("Learning rate", r"lr"),
    SeriesChart("Throughput", r"throughput/.+", "images per second", Scale(zero=True)),
    SeriesChart("Other series", r".+"),
)


def training_figures(series: Series, teacher_accuracy: float | None) -> list[Figure]:
    """A chart for every panel that has series; each series is in the first panel that matches it."""
    left = dict(series)
    figures: list[Figure] = []
    for panel in TRAINING:
        names = sorted(name for name in left if re.fullmatch(panel.pattern, name))
        chosen = {name: left.pop(name) for name in names}
        for part in _parts(chosen):
            lines = list(_lines(part))
            if panel is TRAINING[0] and teacher_accuracy is not None:
                lines.append(_level("teacher", teacher_accuracy, part))
            figures.append(curves(panel.title, lines, panel.note, panel.scale))
    return figures


def verification_figures(student: VerificationScores, teacher: VerificationScores | None) -> list[Figure]:
    """The ROC curves of both networks in one chart, and a histogram of similarities for each."""
    networks = [("student", student, STUDENT)] + ([("teacher", teacher, TEACHER)] if teacher else [])
    lines = [ChartLine(name, scores.roc, colour) for name, scores, colour in networks if scores.roc]
    figures = [roc("ROC", lines, 1 / max(student.impostor, 2))] if lines else []
    for name, scores, _ in networks:
        groups = [("genuine", scores.genuine_counts, GENUINE), ("impostor", scores.impostor_counts, IMPOSTOR)]
        figures.append(histogram(f"Similarities, {name}", scores.edges, groups, mark=scores.threshold))
    return figures


def _parts(chosen: Series) -> Iterator[Series]:
    """At most as many series in a chart as there are colours."""
    names = list(chosen)
    for start in range(0, len(names), COLOURS):
        yield {name: chosen[name] for name in names[start : start + COLOURS]}


def _lines(part: Series) -> Iterator[ChartLine]:
    for colour, (name, points) in enumerate(part.items(), start=1):
        yield ChartLine(name.partition("/")[2] or name, points, colour)


def _level(name: str, value: float, beside: Series) -> ChartLine:
    """A level to compare the curves with, over the same steps."""
    last = max((step for points in beside.values() for step, _ in points), default=1)
    return ChartLine(name, [(0, value), (last, value)], TEACHER if len(beside) == 1 else COLOURS, dashed=True)
