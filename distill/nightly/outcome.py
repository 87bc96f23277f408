"""What a night comes to, and the exit status that a scheduler sees."""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    """Each outcome has an exit status of its own; 2, a user's mistake, and 130, interrupted, are the command line's."""

    NOTHING = 0
    """Neither the data nor what decides the student has changed since the last night."""
    FAILED = 1
    PROMOTED = 10
    REJECTED = 20
    BUSY = 75
    """Another night is running: EX_TEMPFAIL of sysexits.h, so that a scheduler may try again later."""

    @property
    def status(self) -> int:
        return self.value
