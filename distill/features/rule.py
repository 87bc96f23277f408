"""The rule by which a row of a feature file is computed, from a protocol or the user."""

from __future__ import annotations

from dataclasses import dataclass

from distill.errors import UserError
from distill.features.face_list import Kind
from distill.metrics.fusion import equal_weights, length_weights

LENGTHS = "norm"
FUSIONS = {"mean": equal_weights, LENGTHS: length_weights}
"""Weights of a video's frames: functions from embeddings [f d] of some of its frames to weights [f]."""

NETWORK = "network"
"""The fusion with weights of a separate network that takes the frames."""

QAN = "qan"
"""The same by the rule of the Trojans' QAN++, which compares the frames of a video."""

WITH_NETWORK = (NETWORK, QAN)


@dataclass(frozen=True)
class RowRule:
    """Of an image or a video, with the mirror image or without; for videos by which of ``FUSIONS`` or by a separate
    network (``WITH_NETWORK``), and with ``consensus`` by how far the frames agree as well."""

    kind: Kind
    flip: bool
    fusion: str | None = None
    consensus: bool = False

    def __post_init__(self) -> None:
        if self.kind == "video" and self.fusion not in (known := (*FUSIONS, *WITH_NETWORK)):
            raise UserError(f"fusion is {self.fusion} for kind=video; expected one of {', '.join(known)}")
        if self.kind == "image" and self.fusion is not None:
            raise UserError(f"fusion is {self.fusion} for kind=image; expected none, as an image has no frames")
        if self.kind == "image" and self.consensus:
            raise UserError("consensus is true for kind=image; expected false, as an image has no frames")
        if self.fusion == QAN and self.consensus:
            raise UserError(f"consensus is true for fusion={QAN}; expected false, or another fusion")

    @property
    def needs_network(self) -> bool:
        """Whether a separate network weighs the frames."""
        return self.fusion in WITH_NETWORK

    @property
    def compares_frames(self) -> bool:
        """Whether the weight of a frame depends on the other frames of its video."""
        return self.consensus or self.fusion == QAN

    @property
    def words(self) -> str:
        """The rule as text."""
        face = "f(x) + f(mirrored x)" if self.flip else "f(x)"
        if self.fusion is None:
            return f"{face}, normalised"
        fusion = f"{self.fusion} and consensus" if self.consensus else self.fusion
        return f"{face} of each frame, fused by {fusion}, normalised"
