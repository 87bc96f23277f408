"""Options of the optimiser and of the learning rate over a run. The classes are the schema.

Nothing here imports torch, so that a configuration is validated without it. The classes are not frozen because Hydra
fills instances in place; treat them as constants.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from distill.errors import UserError


class OptimizerName(StrEnum):
    sgd = "sgd"
    adamw = "adamw"
    muon = "muon"


class ScheduleKind(StrEnum):
    cosine = "cosine"
    multistep = "multistep"


@dataclass
class OptimizerSettings:
    """SGD with momentum, AdamW, or Muon with AdamW for what is no layer's weight."""

    name: OptimizerName = OptimizerName.adamw
    """sgd, adamw or muon."""
    lr: float = 2e-3
    """Peak learning rate."""
    weight_decay: float = 0.05
    """Weight decay of matrices and kernels; biases and norms have none."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW, and of what Muon leaves to it."""
    momentum: float = 0.9
    """Of SGD and Muon."""
    nesterov: bool = False
    """Nesterov momentum, for SGD."""
    head_lr_factor: float = 0.1
    """Muon's rate for class centres and projectors, which are not part of the network, in parts of ``lr``."""
    bf16_products: bool | None = False
    """Whether Muon makes updates orthogonal in bfloat16, which large networks profit from. null: as passes are."""

    def __post_init__(self) -> None:
        if self.name not in tuple(OptimizerName):
            raise UserError(f"trainer.optimizer.name is {self.name!r}; expected sgd, adamw or muon")
        self.name = OptimizerName(self.name)
        if not self.lr > 0:
            raise UserError(f"trainer.optimizer.lr is {self.lr}; expected a positive number")
        if not self.head_lr_factor > 0:
            raise UserError(f"trainer.optimizer.head_lr_factor is {self.head_lr_factor}; expected a positive number")
        if self.nesterov and not self.momentum > 0:
            raise UserError("trainer.optimizer.nesterov needs momentum above 0")


@dataclass
class LearningRate:
    """Linear warm-up, then a cosine to ``final_factor`` or steps of ``gamma`` at ``milestones``; fractions of a run."""

    kind: ScheduleKind = ScheduleKind.cosine
    """cosine or multistep."""
    warmup_fraction: float = 0.1
    """Part of the run over which the rate rises linearly to its peak."""
    final_factor: float = 0.001
    """Of the cosine: the last rate, in parts of the first."""
    milestones: list[float] = field(default_factory=lambda: [0.5, 0.75, 0.9])
    """Parts of the run at which multistep lowers the rate."""
    gamma: float = 0.1
    """Factor of the rate at each milestone."""

    def __post_init__(self) -> None:
        if self.kind not in tuple(ScheduleKind):
            raise UserError(f"trainer.schedule.kind is {self.kind!r}; expected cosine or multistep")
        self.kind = ScheduleKind(self.kind)
        if not 0 <= self.warmup_fraction < 1:
            raise UserError(f"trainer.schedule.warmup_fraction is {self.warmup_fraction}; expected 0 or more, below 1")
        if any(not 0 < m < 1 for m in self.milestones):
            raise UserError(f"trainer.schedule.milestones are {self.milestones}; expected fractions between 0 and 1")

    def factor(self, step: int, total_steps: int) -> float:
        """The multiple of the base learning rate for 0-based ``step`` of ``total_steps``."""
        warmup = round(self.warmup_fraction * total_steps)
        if step < warmup:
            return (step + 1) / warmup  # + 1: the first step already learns
        if self.kind is ScheduleKind.multistep:
            # gamma once for each milestone passed
            return self.gamma ** sum(step >= m * total_steps for m in self.milestones)
        # 0 at the end of the warm-up, 1 at the last step; the floor is for a run that is all warm-up
        progress = min(1.0, (step - warmup) / max(1, total_steps - 1 - warmup))
        return self.final_factor + (1 - self.final_factor) * 0.5 * (1 + math.cos(math.pi * progress))
