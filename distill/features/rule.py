"""How a row of a feature file is made, as a protocol or a user says it."""

from __future__ import annotations

from dataclasses import dataclass

from distill.features.face_list import Kind
from distill.metrics.frames import equal_weights, length_weights
from distill.types import UserError

FUSIONS = {"mean": equal_weights, "norm": length_weights}
"""How much each frame of a video counts: embeddings [f d] of some of its frames to their weights [f]."""


@dataclass(frozen=True)
class RowRule:
    """Of an image or a video, with the mirror image or without, and for videos by which of ``FUSIONS``."""

    kind: Kind
    flip: bool
    fusion: str | None = None

    def __post_init__(self) -> None:
        if self.kind == "video" and self.fusion not in FUSIONS:
            raise UserError(f"fusion is {self.fusion} for kind=video; expected one of {', '.join(FUSIONS)}")
        if self.kind == "image" and self.fusion is not None:
            raise UserError(f"fusion is {self.fusion} for kind=image; expected none, as an image has no frames")

    @property
    def words(self) -> str:
        """The rule for a person to read."""
        face = "f(x) + f(mirrored x)" if self.flip else "f(x)"
        if self.fusion is None:
            return f"{face}, normalised"
        return f"{face} of each frame, fused by {self.fusion}, normalised"
