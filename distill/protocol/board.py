"""Scores that others published for a protocol, each with its source and with what a reader has to know of it."""

from __future__ import annotations

from dataclasses import dataclass

from distill.types import UserError

_ORDINALS = {1: "1st", 2: "2nd", 3: "3rd"}


@dataclass(frozen=True)
class Published:
    """A true positive rate at the protocol's false positive rate; ``reason`` says why it is not ``comparable``.

    ``place`` is that on the leaderboard, None where there is none or it is not confirmed.
    """

    who: str
    place: int | None
    tpr: float
    source: str
    comparable: bool
    reason: str

    def __post_init__(self) -> None:
        if not 0 < self.tpr <= 1:
            raise UserError(f"published score of {self.who} is {self.tpr}; expected a rate above 0 and up to 1")
        if not self.source:
            raise UserError(f"published score of {self.who} has no source; expected where it was read")
        if not self.comparable and not self.reason:
            raise UserError(f"published score of {self.who} is not comparable; expected the reason as well")

    @property
    def name(self) -> str:
        """Who, with the place where there is one."""
        return f"{self.ordinal}: {self.who}" if self.place else self.who

    @property
    def ordinal(self) -> str:
        """1st, 2nd, …; empty without a place."""
        return _ORDINALS.get(self.place, f"{self.place}th") if self.place else ""
