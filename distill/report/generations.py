"""Generations of a student side by side (recursive distillation): figures, paired differences, what the judge found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from distill.files.json_file import build

NOTE = (
    "difference: to the generation before, on the same pairs; each end of its interval holds with {confidence:.0%} "
    "confidence, and there is none where the pairs are too few for the judge"
)


@dataclass(frozen=True)
class GenerationFigure:
    """One metric of one complete set, a fraction; difference and interval are those to the generation before."""

    set: str
    metric: str
    value: float
    difference: float | None = None
    interval: list[float] | None = None

    def cells(self) -> tuple[str, str, str]:
        """Value, difference and interval as text."""
        difference = "-" if self.difference is None else f"{self.difference:+.4f}"
        interval = "-" if self.interval is None else " to ".join(f"{end:+.4f}" for end in self.interval)
        return f"{self.value:.4f}", difference, interval


@dataclass(frozen=True)
class Generation:
    """One student: its run, its figures, and how it compares with the generation before.

    ``finding`` says in words which of the two is better; ``judgement`` is that of the judge, as ``judge.json`` has it.
    Both are empty for the first generation.
    """

    number: int
    run: str
    figures: list[GenerationFigure]
    finding: str = ""
    judgement: Mapping[str, Any] = field(default_factory=dict)

    @property
    def against(self) -> list[str]:
        """Why the judge would not put this student in the place of the one before."""
        return [reason["text"] for reason in self.judgement.get("reasons", ()) if not reason["passed"]]


def generations_of(metrics: Mapping[str, Any]) -> list[Generation]:
    """Those in a run's ``metrics.json``, the first one first; none in the run of a single generation."""
    return [build(Generation, raw) for raw in metrics.get("generations", ())]


def to_json(generations: Sequence[Generation]) -> list[dict[str, Any]]:
    """What ``generations_of`` reads."""
    return [asdict(one) for one in generations]


def generation_tables(generations: Sequence[Generation]) -> dict[str, list[tuple[str, ...]]]:
    """Rows (metric and generation, value, difference, interval) of every set, a metric's generations together."""
    names = dict.fromkeys((figure.set, figure.metric) for one in generations for figure in one.figures)
    tables: dict[str, list[tuple[str, ...]]] = {}
    for place, metric in names:
        tables.setdefault(place, []).extend(_rows(generations, place, metric))
    return tables


def _rows(generations: Sequence[Generation], place: str, metric: str) -> Iterator[tuple[str, ...]]:
    for one in generations:
        for figure in one.figures:
            if (figure.set, figure.metric) == (place, metric):
                yield f"{metric}, generation {one.number}", *figure.cells()


def generation_notes(generations: Sequence[Generation]) -> list[str]:
    """Under the tables: how to read them, and for every step which student is better."""
    last = generations[-1]
    return [
        NOTE.format(confidence=last.judgement["settings"]["confidence"]),
        *(f"{one.finding}; judge: {one.judgement['verdict']}" for one in generations if one.finding),
        *(f"against generation {last.number}: {why}" for why in last.against),
    ]
