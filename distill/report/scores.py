"""What a verification found, as the report and the model card show it: read from ``verify.json``'s layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Interval = tuple[float, float]


@dataclass(frozen=True)
class ScoreRow:
    """A fraction with its confidence interval; ``note`` explains a missing interval, or adds a remark."""

    name: str
    value: float | None
    interval: Interval | None
    note: str = ""

    @property
    def text(self) -> str:
        return "-" if self.value is None else f"{100 * self.value:.2f} %"

    @property
    def range_text(self) -> str:
        """The interval, or the note where there is none."""
        if self.value is None or self.interval is None:
            return self.note
        return f"{100 * self.interval[0]:.2f} to {100 * self.interval[1]:.2f}"


@dataclass(frozen=True)
class VerificationScores:
    """One network on one set of pairs. ``threshold`` is the cosine above which a pair counts as the same person."""

    rows: tuple[ScoreRow, ...]
    accuracy_std: float
    pairs: int
    genuine: int
    impostor: int
    confidence: float
    threshold: float
    roc: tuple[tuple[float, float], ...]
    edges: tuple[float, ...]
    genuine_counts: tuple[int, ...]
    impostor_counts: tuple[int, ...]

    @property
    def accuracy(self) -> ScoreRow:
        return self.rows[0]

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> VerificationScores:
        """From what ``distill.metrics.Verification.to_json`` gives or ``verify.json`` holds."""
        roc, histogram = found["roc"], found["histogram"]
        return VerificationScores(
            rows=_rows(found),
            accuracy_std=found["accuracy_std"],
            pairs=found["pairs"],
            genuine=found["genuine"],
            impostor=found["impostor"],
            confidence=found["intervals"]["confidence"],
            threshold=1 - found["threshold"] / 2,  # from the squared distance of unit vectors
            roc=() if roc is None else tuple(zip(roc["fpr"], roc["tpr"], strict=True)),
            edges=tuple(histogram["edges"]),
            genuine_counts=tuple(histogram["genuine"]),
            impostor_counts=tuple(histogram["impostor"]),
        )


def _rows(found: Mapping[str, Any]) -> tuple[ScoreRow, ...]:
    intervals, missing = found["intervals"], found["missing"]
    accuracy = ScoreRow("Accuracy", found["accuracy_mean"], _pair(intervals["accuracy"]))
    auc = ScoreRow("ROC AUC", found["auc"], _pair(intervals["auc"]), missing.get("auc", ""))
    rates = [
        ScoreRow(
            f"TPR at FPR {fpr}", rate, _pair(intervals["tpr_at_fpr"].get(fpr)), missing.get(f"tpr_at_fpr.{fpr}", "")
        )
        for fpr, rate in found["tpr_at_fpr"].items()
    ]
    return (accuracy, auc, *rates)


def _pair(interval: Any) -> Interval | None:
    return None if interval is None else (float(interval[0]), float(interval[1]))
