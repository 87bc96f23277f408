"""A network that cannot be trained, stored or counted by whatever holds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from distill.types import FaceNetwork, Output


class Frozen(nn.Module):
    """Hides a network from ``parameters()``, ``state_dict()`` and ``train()``; ``to()`` still reaches it."""

    def __init__(self, network: FaceNetwork) -> None:
        super().__init__()
        self._kept = [network.eval().requires_grad_(False)]  # a list is invisible to nn.Module

    @property
    def network(self) -> FaceNetwork:
        return self._kept[0]

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        """The private hook behind ``to()``, ``cuda()`` and ``float()``; tests pin that it is."""
        self.network._apply(fn, recurse)
        return super()._apply(fn, recurse)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)

    @torch.no_grad()
    def forward_maps(self, x: Tensor) -> Output:
        """For networks that have maps; the same network, equally frozen."""
        return self.network.forward_maps(x)
