"""What others reached by a protocol, as options: the class is the schema of ``protocol.published``."""

from __future__ import annotations

from dataclasses import dataclass

from distill.errors import UserError

_ORDINALS = {1: "1st", 2: "2nd", 3: "3rd"}


@dataclass(kw_only=True)
class Published:
    """A score that somebody published for a protocol, and the reason where it is not comparable."""

    who: str
    """Team or network."""
    place: int | None = None
    """On the leaderboard; null: not on it, or not confirmed."""
    tpr: float
    """At the protocol's false positive rate."""
    source: str
    """Where the score is published."""
    comparable: bool = False
    """Whether a score of ours may stand beside it."""
    reason: str = ""
    """Why it is not comparable."""

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
