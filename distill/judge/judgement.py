"""The judgement: one reason for every figure that was compared, with that figure, and the verdict.

A challenger is promoted if no reason is against it. A figure with too few pairs counts neither for nor against it, and
is marked as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

ALL = "all"
"""The slice that is the complete set."""
Kind = Literal["requirement", "floor", "main", "anchor", "guard"]
Finding = Literal["holds", "fails", "too few pairs to tell"]


@dataclass(frozen=True)
class Reason:
    """A demand on the challenger and whether it is met; figures are None where the demand has none.

    ``difference`` is the challenger's figure less the champion's, ``interval`` the interval of the difference or,
    without a champion, of the challenger's figure. Of the kind "anchor" ``champion`` is the anchor's figure.
    """

    kind: Kind
    metric: str
    finding: Finding
    text: str
    set: str | None = None
    slice: str | None = None
    champion: float | None = None
    challenger: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    margin: float | None = None

    @property
    def passed(self) -> bool:
        """Whether it does not speak against the challenger."""
        return self.finding != "fails"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "interval": None if self.interval is None else [*self.interval], "passed": self.passed}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Reason:
        """What ``to_json`` left; a reason without a finding, as early ones are, has it from ``passed``."""
        stored = {"finding": "holds" if raw.get("passed") else "fails", **raw}
        stored["interval"] = tuple(stored["interval"]) if stored.get("interval") else None
        return cls(**{one.name: stored[one.name] for one in fields(cls) if one.name in stored})

    def row(self) -> tuple[str, ...]:
        """What is demanded, both figures, the interval, the margin, and the finding, for a table."""
        demand = f"{self.slice if self.kind == 'guard' else self.kind} {self.metric}"
        figures = " to ".join(f"{figure:.4f}" for figure in (self.champion, self.challenger) if figure is not None)
        interval = "-" if self.interval is None else self._interval()
        margin = "-" if self.margin is None else f"{self.margin:g}"
        return demand, figures or "-", interval, margin, self.finding.removesuffix(" pairs to tell")

    def _interval(self) -> str:
        low, high = self.interval or (0.0, 0.0)
        sign = "" if self.difference is None else "+"
        return f"{low:{sign}.4f} … {high:{sign}.4f}"


@dataclass(frozen=True)
class Judgement:
    """All reasons in the order of their weight; ``sets`` and ``settings`` are what they were found with."""

    reasons: tuple[Reason, ...]
    sets: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any]

    @property
    def promoted(self) -> bool:
        return all(reason.passed for reason in self.reasons)

    @property
    def against(self) -> list[Reason]:
        """The reasons for a rejection; none where the challenger is promoted."""
        return [reason for reason in self.reasons if not reason.passed]

    def tables(self) -> dict[str, list[tuple[str, ...]]]:
        """Rows of what was demanded before any set, and of each set."""
        titles = dict.fromkeys(["demand", *self.sets])
        found = {title: [r.row() for r in self.reasons if (r.set or "demand") == title] for title in titles}
        return {title: rows for title, rows in found.items() if rows}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Judgement:
        """What ``to_json`` left."""
        reasons = tuple(Reason.from_json(reason) for reason in raw.get("reasons", ()))
        return cls(reasons, raw.get("sets", {}), raw.get("settings", {}))

    def to_json(self) -> dict[str, Any]:
        """The result of a night's stage ``judge``."""
        return {
            "verdict": "promote" if self.promoted else "reject",
            "reasons": [reason.to_json() for reason in self.reasons],
            "sets": dict(self.sets),
            "settings": dict(self.settings),
        }
