"""A separate small network that estimates the quality of a frame, for recognisers without a quality output.

Source: the iQIYI-large winner weighed frames by a network of its own (Trojans, Liu et al., arXiv 1909.00632); its
layout is not published in detail, so this one is ours: strided separable convolutions after MobileNet (arXiv
1704.04861), under one million multiplications, a five hundredth of the Light recogniser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import Tensor, nn

from distill.students.quality import QualityEstimate, concentration, silent


def _conv(cin: int, cout: int, kernel: int, stride: int, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(cout),
        nn.PReLU(cout),
    ]


class CropQuality(QualityEstimate):
    """Normalised crops [b 3 112 112] alone to a quality [b 1]; exported as a file of its own.

    ``widths`` are the channels of the maps of 56, 28, 14 and 7 px. Maps of a recogniser are ignored.
    """

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
