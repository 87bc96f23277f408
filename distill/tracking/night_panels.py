"""The nights' dashboard as data: what W&B draws over the number of the night, of the one run that has every night."""

from __future__ import annotations

from distill.tracking.panels import Panel, Section

NIGHT = "night"
"""The x axis. The figures are those of ``distill.tracking.night.figures``."""
SECTIONS: tuple[Section, ...] = (
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
