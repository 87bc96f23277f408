"""How weights move: parameter groups, optimisers and the learning-rate factor as a pure function of progress."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn, optim

from distill.errors import UserError
from distill.training.muon import Muon, layer_weights


@dataclass(frozen=True)
class OptimizerSettings:
    """SGD with momentum, AdamW, or Muon with AdamW for what is no layer's weight.

    ``betas`` belong to AdamW, ``momentum`` to SGD and Muon, ``nesterov`` to SGD. Muon's alone are ``head_lr_factor``,
    the rate, in parts of ``lr``, of class centres and projectors, which are not part of the network, and
    ``bf16_products``: whether updates are made orthogonal in bfloat16.
    """

    name: Literal["sgd", "adamw", "muon"] = "adamw"
    lr: float = 2e-3
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    nesterov: bool = False
    head_lr_factor: float = 0.1
    bf16_products: bool = False

    def __post_init__(self) -> None:
        if self.name not in ("sgd", "adamw", "muon"):
            raise UserError(f"trainer.optimizer.name is {self.name!r}; expected sgd, adamw or muon")
        if not self.lr > 0:
            raise UserError(f"trainer.optimizer.lr is {self.lr}; expected a positive number")
        if not self.head_lr_factor > 0:
            raise UserError(f"trainer.optimizer.head_lr_factor is {self.head_lr_factor}; expected a positive number")
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


Group = dict[str, Any]
"""A parameter group in PyTorch's form."""


def parameter_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[Group]:
    """Two groups of the trainable parameters: matrices and kernels decay; norms, biases and PReLU slopes do not.

    What has one dimension or none is one of the latter three in every network here, and nothing else is.
    """
    trainable = [p for p in parameters if p.requires_grad]
    groups: list[Group] = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [g for g in groups if g["params"]]


def build_optimizer(module: nn.Module, settings: OptimizerSettings, network: nn.Module) -> optim.Optimizer:
    """The optimiser over all that is trainable in ``module``; Muon turns the weights of the layers of ``network``."""
    if settings.name == "muon":
        return _muon(module, settings, network)
    groups = parameter_groups(module.parameters(), settings.weight_decay)
    if settings.name == "adamw":
        return optim.AdamW(groups, lr=settings.lr, betas=settings.betas)
    return optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.nesterov)


def _muon(module: nn.Module, settings: OptimizerSettings, network: nn.Module) -> Muon:
    """Layers in one group for each shape; the rest of the network and the heads beside it as AdamW has them."""
    layers = layer_weights(network)
    groups: list[Group] = [
        {"params": weights, "blocks": blocks, "weight_decay": settings.weight_decay}
        for (blocks, *_), weights in layers.items()
    ]
    turned = {id(w) for weights in layers.values() for w in weights}
    inside = [p for p in network.parameters() if id(p) not in turned]
    known = turned | {id(p) for p in inside}
    heads = [p for p in module.parameters() if id(p) not in known]
    head_lr = settings.lr * settings.head_lr_factor
    groups += parameter_groups(inside, settings.weight_decay)
    groups += [{**group, "lr": head_lr} for group in parameter_groups(heads, settings.weight_decay)]
    dtype = torch.bfloat16 if settings.bf16_products else None
    return Muon(groups, settings.lr, settings.momentum, settings.betas, dtype=dtype)
