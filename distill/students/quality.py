"""A student whose embedding's length is its confidence: any network of this package with a quality estimate.

Source: SCF (Li et al., CVPR 2021) learns a concentration kappa beside an embedding's direction. Deviations: kappa is
made the embedding's length, so that a file has one output of the usual width, cosines are as before, and the sum of a
video's embeddings is the fusion that SCF derives; the estimate reads the means of the network's own maps, the fine ones
too, where blur and low resolution show (SCF reads the last map only).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.errors import UserError
from distill.types import FaceNetwork, Output

Learning = Literal["apart", "together", "frozen"]

LEAST = 0.02
"""Least kappa in parts of d, a mean cosine of 0.02: an embedding of length 0 would have no direction."""


class QualityEstimate(nn.Module, ABC):
    """From normalised crops [b 3 h w] and the recogniser's maps of them to float32 [b 1]: kappa in parts of d.

    At least ``LEAST``, and 0.52 for all before training, the kappa of a mean cosine of 0.42.
    """

    @abstractmethod
    def forward(self, crops: Tensor, maps: Mapping[str, Tensor]) -> Tensor: ...


class MapQuality(QualityEstimate):
    """Means of the named maps, a norm, and a hidden layer: 37 kMAC for vargnet.

    ``maps`` and ``channels`` name maps of the recogniser and their channels.
    """

    def __init__(self, maps: Sequence[str], channels: Sequence[int], hidden: int = 64) -> None:
        super().__init__()
        if len(maps) != len(channels) or not maps:
            raise ValueError(f"MapQuality needs channels for each of its maps; got {list(maps)} and {list(channels)}")
        self.maps = tuple(maps)
        inputs = sum(channels)
        self.head = nn.Sequential(nn.BatchNorm1d(inputs), nn.Linear(inputs, hidden), nn.PReLU(hidden))
        self.last = silent(nn.Linear(hidden, 1))

    def forward(self, crops: Tensor, maps: Mapping[str, Tensor]) -> Tensor:
        # (b, c, h, w) of each map -> (b, c), joined: (b, sum of channels)
        means = torch.cat([F.adaptive_avg_pool2d(maps[name], 1).flatten(1) for name in self.maps], 1)
        return concentration(self.last(self.head(means)))


class WithQuality(FaceNetwork):
    """The direction of ``recogniser``'s embedding [b d] at length kappa = d * ``quality``.

    ``learning`` selects what is trained: "apart" both parts, but the gradient of the quality does not reach the
    recogniser, which learns as it would without it; "together" both, with that gradient; "frozen" only the quality,
    with the recogniser's batch statistics fixed.
    """

    def __init__(self, recogniser: FaceNetwork, quality: QualityEstimate, learning: Learning = "apart") -> None:
        super().__init__()
        if not isinstance(recogniser, FaceNetwork):
            raise UserError(
                f"student.network.recogniser is {recogniser!r}; expected a network, which an ONNX file or teacher=none "
                "does not give: choose teacher=r152, for example"
            )
        if learning not in ("apart", "together", "frozen"):
            raise ValueError(f"learning is {learning!r}; expected 'apart', 'together' or 'frozen'")
        self.embedding_dim, self.map_channels = recogniser.embedding_dim, recogniser.map_channels
        self.recogniser = recogniser.requires_grad_(learning != "frozen")
        self.quality = quality
        self.learning = learning
        self.train()

    def forward_maps(self, x: Tensor) -> Output:
        seen = self.recogniser.forward_maps(x)
        maps = seen.maps if self.learning == "together" else {name: m.detach() for name, m in seen.maps.items()}
        kappa = self.embedding_dim * self.quality(x, maps)  # (b, 1) float32
        # float32 also under autocast: the length is an output, and bf16 keeps 8 bits of it
        return Output(kappa * F.normalize(seen.embedding.float()), seen.maps)

    def train(self, mode: bool = True) -> WithQuality:
        super().train(mode)
        if self.learning == "frozen":
            # requires_grad=False does not stop batch norm from updating its statistics
            self.recogniser.eval()
        return self


def concentration(x: Tensor) -> Tensor:
    """Any numbers to float32 of at least ``LEAST``, rising: (x + sqrt(x^2 + 1)) / 2 above it.

    Squareplus (Barron, arXiv 2112.11687, equation 1). Its slope falls as 1 / x^2, so that training can recover from
    a step too far, likely while the recogniser is untrained; softplus saturates exponentially.
    """
    x = x.float()
    root = torch.sqrt(x.square() + 1)
    # for x <= 0 as 1 / (root - x): x + root would cancel. There root - x is 1 or more, so the clamp changes nothing but
    # the branch not taken, whose slope must stay finite
    return LEAST + 0.5 * torch.where(x > 0, x + root, 1 / (root - x).clamp_min(1))


def silent(layer: nn.Linear) -> nn.Linear:
    """The same layer with all weights 0: outputs 0 until trained."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
