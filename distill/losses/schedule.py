"""How the weight of a term changes over a run, in fractions of the run, whose length varies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from distill.types import UserError


@dataclass(frozen=True)
class Schedule:
    """Factor on a term's weight: from 0 up to 1, linearly, until ``warmup_fraction`` of the run; then 1; from
    ``decay_from_fraction`` on towards ``final_factor`` at the end, along a line or a half cosine.
    """

    warmup_fraction: float = 0.0
    decay_from_fraction: float = 1.0
    final_factor: float = 1.0
    decay: Literal["linear", "cosine"] = "linear"

    def __post_init__(self) -> None:
        if not 0 <= self.warmup_fraction <= self.decay_from_fraction <= 1:
            raise UserError(
                f"schedule has warmup_fraction {self.warmup_fraction} and decay_from_fraction "
                f"{self.decay_from_fraction}; expected 0 <= warmup_fraction <= decay_from_fraction <= 1"
            )
        if not 0 <= self.final_factor < math.inf:
            raise UserError(f"schedule final_factor is {self.final_factor}; expected a number of at least 0")
        if self.decay not in ("linear", "cosine"):
            raise UserError(f"schedule decay is {self.decay!r}; expected 'linear' or 'cosine'")
        if self.final_factor != 1 and self.decay_from_fraction == 1:
            raise UserError(
                f"schedule final_factor {self.final_factor} is never reached; set decay_from_fraction below 1"
            )

    def __call__(self, progress: float) -> float:
        """Factor at ``progress``, the fraction of the run that is done."""
        if progress < self.warmup_fraction:
            return max(progress, 0.0) / self.warmup_fraction
        if progress <= self.decay_from_fraction or self.decay_from_fraction == 1:
            return 1.0
        done = min((progress - self.decay_from_fraction) / (1 - self.decay_from_fraction), 1.0)
        if self.decay == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        return 1 + (self.final_factor - 1) * done
