"""What the judge says: one reason for every figure that was looked at, each with that figure, and the verdict.

A challenger is promoted where no reason speaks against it. What too few pairs cannot tell speaks neither for nor
against it, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["requirement", "floor", "main", "guard"]
Finding = Literal["holds", "fails", "too few pairs to tell"]


@dataclass(frozen=True)
class Reason:
    """A demand on the challenger and whether it is met; figures are None where the demand has none.

    ``difference`` is the challenger's figure less the champion's, ``interval`` the interval of the difference or,
    without a champion, of the challenger's figure.
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

    def row(self) -> tuple[str, ...]:
        """What is demanded, champion, challenger, difference with interval, margin, and the finding."""
        where = " ".join(word for word in (self.set, self.slice, self.metric) if word)
        figures = (_cell(self.champion), _cell(self.challenger), self._difference(), _cell(self.margin, "g"))
        return f"{self.kind}: {where}", *figures, "too few" if self.finding not in ("holds", "fails") else self.finding

    def _difference(self) -> str:
        if self.difference is None or self.interval is None:
            return _cell(self.difference, "+.4f")
        low, high = self.interval
        return f"{self.difference:+.4f} ({low:+.4f} … {high:+.4f})"


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

    def to_json(self) -> dict[str, Any]:
        """The result of a night's stage ``judge``."""
        return {
            "verdict": "promote" if self.promoted else "reject",
            "reasons": [reason.to_json() for reason in self.reasons],
            "sets": dict(self.sets),
            "settings": dict(self.settings),
        }


def _cell(value: float | None, how: str = ".4f") -> str:
    return "-" if value is None else format(value, how)
