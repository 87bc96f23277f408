"""EfficientNets for faces, as Large-protocol teachers: a small network scaled up in width and depth together.

Sources: Tan and Le, EfficientNet (arXiv 1905.11946), the table of B0 and eq. 3 for the compound scaling; EfficientNetV2
(arXiv 2104.00298), table 4 for V2-S, whose first stages fuse the first two convolutions of a block. Deviations for
aligned crops: the stem has stride 1, so that a crop of 112 px has the maps of a 224 px picture, the last one 7 px; a
depthwise 7x7 (MobileFaceNet, arXiv 1804.07573) and a dense layer replace pooling and classifier, because the corners
of a face count less; the last width is scaled, as in B1 to B7, also for V2; PyTorch's epsilon and momentum of batch
norms; no stochastic depth. A new block with a shortcut starts as that, so that networks grow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from distill.types import HEAD_PX, Output, at_head_size
from teachers.dense import Float32Linear
from teachers.growth import Growable

LAST_CHANNELS = 1280
SE_FRACTION = 0.25
"""Inner width of a channel gate over the width of its block's input."""


@dataclass(frozen=True)
class Row:
    """A stage before scaling: its output ``channels`` and ``blocks``, the first of which has the ``stride``.

    Each block widens its input by ``expansion``. ``fused`` blocks convolve fully and have no channel gate, the others
    depthwise, with one.
    """

    expansion: int
    channels: int
    blocks: int
    stride: int
    kernel: int = 3
    fused: bool = False


Design = Literal["b0", "v2s"]

DESIGNS: dict[Design, tuple[int, tuple[Row, ...]]] = {
    # channels of the stem, rows
    "b0": (
        32,
        (
            Row(1, 16, 1, 1),
            Row(6, 24, 2, 2),
            Row(6, 40, 2, 2, 5),
            Row(6, 80, 3, 2),
            Row(6, 112, 3, 1, 5),
            Row(6, 192, 4, 2, 5),
            Row(6, 320, 1, 1),
        ),
    ),
    "v2s": (
        24,
        (
            Row(1, 24, 2, 1, fused=True),
            Row(4, 48, 4, 2, fused=True),
            Row(4, 64, 4, 2, fused=True),
            Row(4, 128, 6, 2),
            Row(6, 160, 9, 1),
            Row(6, 256, 15, 2),
        ),
    ),
}


def scaled_width(channels: int, width: float) -> int:
    """``channels * width`` at the nearest multiple of 8, but not below nine tenths of it (the authors' rounding)."""
    exact = channels * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


def scaled_depth(blocks: int, depth: float) -> int:
    """``blocks * depth``, rounded up (the authors' rounding)."""
    return math.ceil(blocks * depth)


def _conv(cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True) -> list[nn.Module]:
    layers = [nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(cout)]
    return [*layers, nn.SiLU()] if act else layers


class Gate(nn.Module):
    """Squeeze and excitation with biases, SiLU inside and a sigmoid on top."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, inner, 1),
            nn.SiLU(),
            nn.Conv2d(inner, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.layers(x)


class MBConv(nn.Module):
    """Expansion, depthwise convolution, gate, projection; plus the input where the shape stays.

    If fused, one full convolution stands for all but the projection; with no expansion, for all.
    """

    def __init__(self, cin: int, cout: int, row: Row, stride: int) -> None:
        super().__init__()
        wide = cin * row.expansion
        if row.fused and row.expansion == 1:
            body = _conv(cin, cout, row.kernel, stride)
        elif row.fused:
            body = [*_conv(cin, wide, row.kernel, stride), *_conv(wide, cout, 1, act=False)]
        else:
            body = [
                *(_conv(cin, wide, 1) if row.expansion > 1 else []),
                *_conv(wide, wide, row.kernel, stride, wide),
                Gate(wide, max(1, int(cin * SE_FRACTION))),
                *_conv(wide, cout, 1, act=False),
            ]
        self.body = nn.Sequential(*body)
        self.residual = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


class EfficientNet(Growable):
    """Normalised crops [b 3 112 112] to embeddings [b d].

    ``width`` and ``depth`` multiply the channels and the blocks of ``design``, eq. 3 of the paper with one compound
    coefficient phi for both: 1.1^phi and 1.2^phi. ``dropout`` acts on the flattened output of the depthwise 7x7. Raises
    ValueError for arguments out of these ranges.
    """

    block_name = re.compile(r"rows\.(\d+)\.(\d+)\.")

    def __init__(
        self,
        width: float = 1.0,
        depth: float = 1.0,
        design: Design = "v2s",
        embedding_dim: int = 512,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if design not in DESIGNS:
            raise ValueError(f"EfficientNet design is {design!r}; expected {' or '.join(DESIGNS)}")
        if width <= 0 or depth <= 0:
            raise ValueError(f"EfficientNet width and depth are {width} and {depth}; expected numbers above 0")
        stem, rows = DESIGNS[design]
        widths = [scaled_width(c, width) for c in (stem, *(row.channels for row in rows))]
        self.embedding_dim = embedding_dim
        # the last row before each halving, and the last of all: 56, 28, 14 and 7 px
        self.ends = _ends(rows)
        self.map_channels = {f"stage{i + 1}": widths[end + 1] for i, end in enumerate(self.ends)}
        self.stem = nn.Sequential(*_conv(3, widths[0], 3))
        self.rows = nn.ModuleList(
            nn.Sequential(
                *(
                    MBConv(cin if i == 0 else cout, cout, row, row.stride if i == 0 else 1)
                    for i in range(scaled_depth(row.blocks, depth))
                )
            )
            for cin, cout, row in zip(widths, widths[1:], rows, strict=False)
        )
        last = scaled_width(LAST_CHANNELS, width)
        self.last = nn.Sequential(*_conv(widths[-1], last, 1))
        self.pool = nn.Sequential(nn.Conv2d(last, last, HEAD_PX, groups=last, bias=False), nn.BatchNorm2d(last))
        self.dropout = nn.Dropout(dropout)
        self.fc = Float32Linear(last, embedding_dim)
        self.features = nn.BatchNorm1d(embedding_dim)
        self.features.weight.requires_grad_(False)  # head "E", as in IResNet
        self.apply(_initialise)

    def forward_maps(self, x: Tensor) -> Output:
        """The embedding and the last maps of 56, 28, 14 and 7 px, "stage1" to "stage4"."""
        maps: dict[str, Tensor] = {}
        x = self.stem(x)  # (b, c, 112, 112)
        for index, row in enumerate(self.rows):
            x = row(x)
            if index in self.ends:
                maps[f"stage{self.ends.index(index) + 1}"] = x
        flat = self.dropout(self.pool(self.last(at_head_size(x))).flatten(1))  # (b, last)
        return Output(self.features(self.fc(flat)), maps)


def _ends(rows: Sequence[Row]) -> list[int]:
    """Indices of the rows that end a resolution below that of the stem."""
    halvings = [i for i, row in enumerate(rows) if row.stride == 2]
    return [i - 1 for i in halvings[1:]] + [len(rows) - 1]


def _initialise(module: nn.Module) -> None:
    """He initialisation by fan-out, as the authors do; each residual block's last norm at zero."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.groups > 1:
            # fan-out counts all output channels, a depthwise kernel feeds one
            module.weight.data.mul_(module.groups**0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, MBConv) and module.residual:
        norm = [m for m in module.body if isinstance(m, nn.BatchNorm2d)][-1]
        nn.init.zeros_(norm.weight)
