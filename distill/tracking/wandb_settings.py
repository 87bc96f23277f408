"""Where runs appear in Weights & Biases, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from distill.errors import UserError

MODES = ("offline", "online", "disabled")
RESUMES = ("allow", "must", "never", "auto")


@dataclass(frozen=True)
class WandbSettings:
    """Where the run appears in W&B. ``online`` uploads while training, and only for a user who is logged in."""

    mode: Literal["offline", "online", "disabled"] = "offline"
    project: str = "face-distill"
    entity: str | None = None
    group: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    notes: str | None = None
    job_type: str | None = None
    dir: str | None = None
    """Where W&B's own files go; None: the run folder."""
    id: str | None = None
    """Of a run that W&B knows already; None: made up for the run folder, and kept in it."""
    resume: str = "allow"
    """What W&B does where it knows the id, or does not: one of ``RESUMES``."""
    init_timeout_s: float = 20.0
    finish_timeout_s: float = 120.0
    finish_raises: bool = False
    """Whether uploads that are not done by then are an error; a training run leaves them on disk instead."""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UserError(f"tracking.mode is {self.mode!r}; expected one of {', '.join(MODES)}")
        if self.resume not in RESUMES:
            raise UserError(f"tracking.resume is {self.resume!r}; expected one of {', '.join(RESUMES)}")
