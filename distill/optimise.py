"""How weights move: parameter groups, optimisers and the learning-rate factor as a pure function of progress."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn, optim

from distill.types import UserError


@dataclass(frozen=True)
class OptimizerSettings:
    """SGD with momentum or AdamW. ``betas`` belong to AdamW, ``momentum`` and ``nesterov`` to SGD."""

    name: Literal["sgd", "adamw"] = "adamw"
    lr: float = 2e-3
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        if self.name not in ("sgd", "adamw"):
            raise UserError(f"trainer.optimizer.name is {self.name!r}; expected sgd or adamw")
        if not self.lr > 0:
            raise UserError(f"trainer.optimizer.lr is {self.lr}; expected a positive number")
        if self.nesterov and not self.momentum > 0:
            raise UserError("trainer.optimizer.nesterov needs momentum above 0")


@dataclass(frozen=True)
class LearningRate:
    """Linear warm-up, then cosine to ``final_factor`` or ``gamma`` at each milestone; in fractions of a run."""

    kind: Literal["cosine", "multistep"] = "cosine"
    warmup_fraction: float = 0.1
    final_factor: float = 0.001
    milestones: Sequence[float] = (0.5, 0.75, 0.9)
    gamma: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in ("cosine", "multistep"):
            raise UserError(f"trainer.schedule.kind is {self.kind!r}; expected cosine or multistep")
        if not 0 <= self.warmup_fraction < 1:
            raise UserError(f"trainer.schedule.warmup_fraction is {self.warmup_fraction}; expected 0 or more, below 1")
        if any(not 0 < m < 1 for m in self.milestones):
            raise UserError(
                f"trainer.schedule.milestones are {list(self.milestones)}; expected fractions between 0 and 1"
            )

    def factor(self, step: int, total_steps: int) -> float:
        """The multiple of the base learning rate for 0-based ``step`` of ``total_steps``."""
        warmup = round(self.warmup_fraction * total_steps)
        if step < warmup:
            return (step + 1) / warmup
        if self.kind == "multistep":
            return self.gamma ** sum(step >= m * total_steps for m in self.milestones)
        progress = min(1.0, (step - warmup) / max(1, total_steps - 1 - warmup))
        return self.final_factor + (1 - self.final_factor) * 0.5 * (1 + math.cos(math.pi * progress))


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Two groups of the trainable parameters: matrices and kernels decay; norms, biases and PReLU slopes do not.

    What has one dimension or none is one of the latter three in every network here, and nothing else is.
    """
    trainable = [p for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, object]] = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [g for g in groups if g["params"]]


def build_optimizer(module: nn.Module, settings: OptimizerSettings) -> optim.Optimizer:
    """The optimiser over all that is trainable in ``module``."""
    groups = parameter_groups(module, settings.weight_decay)
    if settings.name == "adamw":
        return optim.AdamW(groups, lr=settings.lr, betas=settings.betas)
    return optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.nesterov)
