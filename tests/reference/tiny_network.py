"""A network with the interface of a teacher and hardly any arithmetic."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from distill.types import FaceNetwork, Output


class TinyNetwork(FaceNetwork):
    """[b 3 h w] to [b d], with one convolution, one norm, and one map."""

    def __init__(self, embedding_dim: int = 8) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.map_channels = {"stage4": 4}
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 49, embedding_dim)

    def forward_maps(self, x: Tensor) -> Output:
        found = self.bn(self.conv(F.adaptive_avg_pool2d(x, 7)))
        return Output(self.fc(found.flatten(1)), {"stage4": found})
