"""The limits of a challenge protocol as values; the four of LFR 2019 are in ``conf/protocol``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from distill.errors import UserError


@dataclass(frozen=True)
class Protocol:
    """What a student has to satisfy: at most ``max_flops``, **under** ``max_file_bytes``, type and width exact.

    ``max_file_bytes`` None means that the challenge states no limit. ``far_target`` is the false positive rate at
    which the challenge compares true positive rates. ``source`` is where the limits are published.
    """

    name: str
    max_flops: int
    max_file_bytes: int | None
    dtype: str
    embedding_dim: int
    far_target: float
    kind: Literal["image", "video"]
    source: str

    def __post_init__(self) -> None:
        if self.max_flops <= 0 or self.embedding_dim <= 0 or (self.max_file_bytes or 1) <= 0:
            raise UserError(f"protocol {self.name}: max_flops, max_file_bytes and embedding_dim must be positive")
        if not 0 < self.far_target < 1:
            raise UserError(f"protocol {self.name}: target_fpr is {self.far_target}; expected a rate between 0 and 1")
        if self.kind not in ("image", "video"):
            raise UserError(f"protocol {self.name}: kind is {self.kind!r}; expected 'image' or 'video'")

    @property
    def metric(self) -> str:
        """The name of the protocol's score."""
        return f"TPR@FPR={self.far_target:g}"
