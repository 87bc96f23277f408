"""Where runs appear in Weights & Biases, as options: the class is the schema of ``tracking``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from distill.errors import UserError

RESUMES = ("allow", "must", "never", "auto")


class TrackingMode(StrEnum):
    offline = "offline"
    online = "online"
    disabled = "disabled"


@dataclass
class WandbSettings:
    """Tracking of the run in W&B; mode ``online`` needs a login (docs/tracking.md)."""

    mode: TrackingMode = TrackingMode.offline
    """offline: W&B files in the run folder; online: upload while training; disabled: neither."""
    project: str = "face-distill"
    """W&B project."""
    entity: str | None = None
    """W&B team or user; null: the default of the login."""
    group: str | None = None
    """W&B group of the run."""
    name: str | None = None
    """W&B name of the run; null: the name of its folder."""
    tags: list[str] = field(default_factory=list)
    """W&B tags of the run."""
    notes: str | None = None
    """W&B notes of the run."""
    job_type: str | None = None
    """W&B job type of the run."""
    dir: str | None = field(default=None, metadata={"path": True})
    """Folder of W&B's own files; null: the run folder."""
    id: str | None = None
    """W&B id of an existing run; null: generated once for each run folder."""
    resume: str = "allow"
    """W&B's rule for resuming an id: allow, must, never or auto."""

    def __post_init__(self) -> None:
        if self.mode not in tuple(TrackingMode):
            raise UserError(f"tracking.mode is {self.mode!r}; expected one of {', '.join(TrackingMode)}")
        self.mode = TrackingMode(self.mode)  # plain text where it comes from JSON
        if self.resume not in RESUMES:
            raise UserError(f"tracking.resume is {self.resume!r}; expected one of {', '.join(RESUMES)}")
