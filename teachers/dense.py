"""The dense layer behind a Large network's last map, which stays in float32 under autocast as in arcface_torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Float32Linear(nn.Linear):
    """A dense layer whose products are summed in the type of its weights, also under autocast.

    It sums 25,088 products or more for each output (73,728 in PolyFace), too many for eight bits of mantissa.
    """

    def forward(self, input: Tensor) -> Tensor:
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.to(self.weight.dtype))
