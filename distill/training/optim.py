"""Optimisers and their parameter groups, from the settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn, optim

from distill.training.muon import Muon, layer_weights
from distill.training.settings import OptimizerName, OptimizerSettings

Group = dict[str, Any]
"""A parameter group in PyTorch's form."""


def parameter_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[Group]:
    """Two groups of the trainable parameters: matrices and kernels decay; norms, biases and PReLU slopes do not.

    In every network here exactly the latter three have at most one dimension.
    """
    trainable = [p for p in parameters if p.requires_grad]
    groups: list[Group] = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [g for g in groups if g["params"]]


def build_optimizer(module: nn.Module, settings: OptimizerSettings, network: nn.Module) -> optim.Optimizer:
    """The optimiser of all trainable parameters of ``module``; Muon's updates are for the layers of ``network``."""
    if settings.name is OptimizerName.muon:
        return _muon(module, settings, network)
    groups = parameter_groups(module.parameters(), settings.weight_decay)
    if settings.name is OptimizerName.adamw:
        return optim.AdamW(groups, lr=settings.lr, betas=settings.betas)
    return optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.nesterov)


def _muon(module: nn.Module, settings: OptimizerSettings, network: nn.Module) -> Muon:
    """Layers in one group per shape; the rest of the network and the heads in AdamW's groups."""
    layers = layer_weights(network)
    groups: list[Group] = [
        {"params": weights, "blocks": blocks, "weight_decay": settings.weight_decay}
        for (blocks, *_), weights in layers.items()
    ]
    # by identity, because == of tensors compares elements
    turned = {id(w) for weights in layers.values() for w in weights}
    inside = [p for p in network.parameters() if id(p) not in turned]
    known = turned | {id(p) for p in inside}
    heads = [p for p in module.parameters() if id(p) not in known]
    head_lr = settings.lr * settings.head_lr_factor
    # the order of groups is part of a checkpoint: optimiser states are stored by position
    groups += parameter_groups(inside, settings.weight_decay)
    groups += [{**group, "lr": head_lr} for group in parameter_groups(heads, settings.weight_decay)]
    # None: the weights' own float32
    dtype = torch.bfloat16 if settings.bf16_products else None
    return Muon(groups, settings.lr, settings.momentum, settings.betas, dtype=dtype)
