"""The result of scoring all pairs, as numbers, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from distill.format import Interval
from distill.metrics.allpairs.intervals import PointInterval


class RankedScore(NamedTuple):
    """The score of an impostor pair of some rank, and the impostor and genuine pairs that score more."""

    threshold: float
    impostor: int
    genuine: int


@dataclass(frozen=True)
class Point:
    """One FPR, and the largest TPR of all thresholds whose FPR is at most that; None where ``missing`` says why.

    Pairs are accepted if they score more than ``threshold``, the score of the best impostor pair that has to be
    rejected; pairs that score the same are rejected with it. ``evidence`` is the source of the interval: "all"
    impostor pairs that matter, or a "sample" of them.
    """

    fpr: float
    tpr: float | None = None
    threshold: float | None = None
    impostor_accepted: int | None = None
    genuine_accepted: int | None = None
    interval: Interval = None
    evidence: str | None = None
    missing: str | None = None

    @classmethod
    def of(cls, fpr: float, found: RankedScore, genuine: int, interval: PointInterval | None) -> Point:
        """The point of a threshold that was found, with so many genuine pairs in all."""
        between, evidence = (interval.interval, interval.evidence) if interval else (None, None)
        rate = found.genuine / genuine
        return cls(fpr, rate, found.threshold, found.impostor, found.genuine, between, evidence)


@dataclass(frozen=True)
class AllPairs:
    """TPR at FPR over all pairs of ``rows`` (one set, or gallery and probes), of descending FPR.

    Intervals are from resampling persons, every distractor being one; ``confidence`` is None where none were asked for.
    """

    points: tuple[Point, ...]
    rows: tuple[int, ...]
    columns: int
    identities: int
    distractors: int
    pairs: int
    genuine: int
    impostor: int
    confidence: float | None
    resamples: int
    seed: int | None

    def to_json(self) -> dict[str, object]:
        """Content of the JSON file."""
        return {**asdict(self), "over": "persons"}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> AllPairs:
        """From what ``to_json`` gave; KeyError or TypeError for anything else."""
        values = {field.name: content[field.name] for field in fields(cls)}
        points = tuple(Point(**{**point, "interval": _pair(point["interval"])}) for point in values.pop("points"))
        return cls(**{**values, "points": points, "rows": tuple(values["rows"])})

    def rows_of_table(self) -> list[tuple[str, str, str, str, str]]:
        """(FPR, TPR, interval or why it is missing, threshold, impostor pairs accepted of all) for a table."""
        return [self._row(point) for point in self.points]

    def _row(self, point: Point) -> tuple[str, str, str, str, str]:
        if point.tpr is None:
            return f"{point.fpr:g}", "-", point.missing or "", "-", f"- of {self.impostor:,}"
        between = "-"
        if point.interval is not None:
            between = f"{point.interval[0]:.4f} … {point.interval[1]:.4f} ({self.confidence:.0%}, {point.evidence})"
        behind = f"{point.impostor_accepted:,} of {self.impostor:,}"
        return f"{point.fpr:g}", f"{point.tpr:.4f}", between, f"{point.threshold:.6f}", behind


def _pair(interval: Sequence[float] | None) -> Interval:
    return None if interval is None else (float(interval[0]), float(interval[1]))
