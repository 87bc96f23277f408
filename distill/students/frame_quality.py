"""Separate small networks that estimate the quality of a frame, for recognisers without a quality output.

Source: the iQIYI-large winner weighed frames by a network of its own (Trojans, Liu et al., arXiv 1909.00632).
``ResidualQuality`` is that network, after liuyuisanai/trojans-face-recognizer: QAN++/PolyFace.py. Deviations: its raw
number becomes a concentration, because ours learns by likelihood (their training is not public); it sees the crop as
its recogniser does, where theirs cuts the first row and column and maps 0..255 to -1.6..1.6.
``CropQuality`` is ours and costs a fortieth: strided separable convolutions after MobileNet (arXiv 1704.04861).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import Tensor, nn

from distill.students.quality import QualityEstimate, concentration, silent


class FrameQuality(QualityEstimate):
    """A quality [b 1] of normalised crops [b 3 112 112] alone: it is exported as a file of its own."""

    @abstractmethod
    def forward(self, crops: Tensor, maps: Mapping[str, Tensor] | None = None) -> Tensor: ...


def _conv(cin: int, cout: int, kernel: int, stride: int, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(cout),
        nn.PReLU(cout),
    ]


class CropQuality(FrameQuality):
    """Under one million multiplications; ``widths`` are the channels of the maps of 56, 28, 14 and 7 px."""

    def __init__(self, widths: Sequence[int] = (8, 16, 24, 32)) -> None:
        super().__init__()
        if len(widths) != 4:
            raise ValueError(f"CropQuality needs 4 widths; got {list(widths)}")
        # a depthwise 3x3 that halves the map, then a pointwise: 56 -> 28 -> 14 -> 7 px
        units = (layer for a, b in pairwise(widths) for layer in (*_conv(a, a, 3, 2, groups=a), *_conv(a, b, 1, 1)))
        # -> (b, widths[-1])
        self.body = nn.Sequential(*_conv(3, widths[0], 3, 2), *units, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.last = silent(nn.Linear(widths[-1], 1))

    def forward(self, crops: Tensor, maps: Mapping[str, Tensor] | None = None) -> Tensor:
        return concentration(self.last(self.body(crops)))


EPS = 2e-5


class ResidualBlock(nn.Module):
    """Norm, 3x3, norm, PReLU, 3x3 with the stride, norm; plus a shortcut; PReLU. One slope for all channels."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(cin, eps=EPS),
            nn.Conv2d(cin, cout, 3, 1, 1, bias=False),
            nn.BatchNorm2d(cout, eps=EPS),
            nn.PReLU(),
            nn.Conv2d(cout, cout, 3, stride, 1, bias=False),
            nn.BatchNorm2d(cout, eps=EPS),
        )
        self.shortcut = nn.Identity()
        if stride != 1 or cin != cout:
            # every second pixel, then a 1x1 convolution: with the stride in a convolution of 8 channels, torch 2.13
            # (oneDNN on a CPU) crashes in the backward pass in channels_last
            self.shortcut = nn.Sequential(
                nn.MaxPool2d(1, stride), nn.Conv2d(cin, cout, 1, bias=False), nn.BatchNorm2d(cout, eps=EPS)
            )
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.body(x) + self.shortcut(x))  # (b, cout, h / stride, w / stride)


class ResidualQuality(FrameQuality):
    """A small IR-ResNet; ``units`` and ``widths`` are those of the stages of 56, 28, 14 and 7 px."""

    def __init__(self, units: Sequence[int] = (2, 2, 2, 2), widths: Sequence[int] = (8, 16, 32, 48)) -> None:
        super().__init__()
        if len(units) != 4 or len(widths) != 4 or min(units) < 1:
            raise ValueError(
                f"ResidualQuality needs 4 unit counts of 1 or more and 4 widths; got {list(units)} and {list(widths)}"
            )
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0], eps=EPS), nn.PReLU()
        )
        self.stages = nn.Sequential(
            *(
                ResidualBlock(cin if block == 0 else cout, cout, 2 if block == 0 else 1)
                for (cin, cout), count in zip(pairwise((widths[0], *widths)), units, strict=True)
                for block in range(count)
            )
        )
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.last = silent(nn.Linear(widths[-1], 1, bias=False))

    def forward(self, crops: Tensor, maps: Mapping[str, Tensor] | None = None) -> Tensor:
        return concentration(self.last(self.pool(self.stages(self.stem(crops)))))
