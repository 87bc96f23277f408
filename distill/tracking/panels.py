"""The dashboard as data: which series belong together, how they are drawn, and which end of them is the good one.

The W&B run (``define_metric``), the pushed W&B workspace and ``docs/tracking.md`` all read this one list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

STEP = "trainer/global_step"
"""Optimiser steps done: the x axis of every panel. W&B's own step restarts in an offline run that is resumed."""


@dataclass(frozen=True)
class Panel:
    """Series whose full name matches ``pattern``; ``best``: min or max, for the W&B summary."""

    title: str
    pattern: str
    unit: str
    best: Literal["min", "max"] | None = None
    log_y: bool = False


@dataclass(frozen=True)
class Section:
    title: str
    panels: tuple[Panel, ...]


SECTIONS: tuple[Section, ...] = (
    Section(
        "Verification",
        (
            Panel("Accuracy", r"verification/(.+/)?accuracy", "fraction", best="max"),
            Panel("ROC AUC", r"verification/(.+/)?auc", "fraction", best="max"),
            Panel("TPR at FPR", r"verification/(.+/)?tpr_at_fpr_.+", "fraction", best="max"),
        ),
    ),
    Section(
        "Losses",
        (
            Panel("Total", r"loss", "loss", best="min"),
            Panel("Terms, weighted", r"weighted/.+", "loss"),
            Panel("Terms, raw", r"raw/.+", "loss", best="min", log_y=True),
        ),
    ),
    Section(
        "Optimisation",
        (
            Panel("Learning rate", r"lr", "1/step"),
            Panel("Throughput", r"throughput/images_per_s", "images/s"),
        ),
    ),
    Section("Similarity", (Panel("Histograms of pairs", r"similarity/.+", "cosine"),)),
)


def summary_of(name: str) -> str | None:
    """What the W&B summary keeps of the series ``name``, in ``define_metric``'s words; None: its last value."""
    panels = (panel for section in SECTIONS for panel in section.panels)
    best = next((panel.best for panel in panels if re.fullmatch(panel.pattern, name)), None)
    return None if best is None else f"{best},last"


NIGHT_SECTIONS: tuple[Section, ...] = (
    Section(
        "Scores by night",
        (
            Panel("Accuracy, champion and challenger", r"score/.+/accuracy/.+", "fraction"),
            Panel("ROC AUC, champion and challenger", r"score/.+/auc/.+", "fraction"),
            Panel("TPR at FPR, champion and challenger", r"score/.+/tpr_at_fpr_.+/.+", "fraction"),
            Panel("Promoted", r"promoted", "1: yes"),
        ),
    ),
    Section(
        "Data by night",
        (
            Panel("Images", r"data/(new_)?images", "images"),
            Panel("People", r"data/(new_)?people", "people"),
            Panel("What vetting found", r"found/.+", "images, or people"),
        ),
    ),
    Section(
        "Cost by night",
        (
            Panel("Counter-FLOPs", r"cost/flops", "FLOPs"),
            Panel("Size", r"cost/bytes", "bytes"),
            Panel("Time of each stage", r"seconds/.+", "seconds"),
        ),
    ),
)


def as_markdown(sections: Sequence[Section] = SECTIONS) -> str:
    """The panels as the table that ``docs/tracking.md`` shows."""
    lines = ["| section | panel | series (regular expression) | unit |", "|---|---|---|---|"]
    for section in sections:
        for panel in section.panels:
            pattern = panel.pattern.replace("|", r"\|")
            lines.append(f"| {section.title} | {panel.title} | `{pattern}` | {panel.unit} |")
    return "\n".join(lines)


NIGHT = "night"
"""The x axis. The figures are those of ``distill.tracking.night_events.figures``."""
