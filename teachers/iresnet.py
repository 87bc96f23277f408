"""IR-ResNet, the improved residual network of ArcFace, as a Large-protocol teacher.

Source: Deng et al., ArcFace (arXiv 1801.07698), block "IR" and head "E". In a new network every block starts as its
shortcut: the last norm's scale is zero (Goyal et al., arXiv 1706.02677, section 5.1), so that 50 blocks train as easily
as a few at first, and the weights of a shallower network give a deeper one with the same outputs. The basic block
without gates carries the parameter names of InsightFace's ``arcface_torch``, so that its checkpoints load unchanged.
The bottleneck block is AdaFace's (arXiv 2204.00964), whose stride sits in the last 1x1. ``DIALECTS`` are the three
public variants of the family. Deviation: the last norms of the blocks start at zero; trained weights compute the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from distill.types import HEAD_PX, Output, at_head_size
from teachers.dense import Float32Linear
from teachers.growth import Growable

WIDTHS = (64, 128, 256, 512)
BOTTLENECK_EXPANSION = 4
SE_RATIO = 16


@dataclass(frozen=True)
class Dialect:
    """What differs between public IR networks of the same depth.

    ``inner_norm``: a norm between a basic block's first convolution and its PReLU. ``pooled_shortcut``: a block that
    halves the map and keeps the width subsamples its input instead of projecting it. ``gate_bias``: the channel gate
    has biases and PReLU (MXNet), or neither and ReLU. ``eps`` is that of all norms.
    """

    inner_norm: bool
    pooled_shortcut: bool
    gate_bias: bool
    eps: float = 1e-5


DialectName = Literal["insightface", "facexzoo", "adaface"]

DIALECTS: dict[DialectName, Dialect] = {
    "insightface": Dialect(inner_norm=True, pooled_shortcut=False, gate_bias=True),
    # TreB1eN/InsightFace_Pytorch: model.py, and after it FaceX-Zoo and cavaface
    "facexzoo": Dialect(inner_norm=False, pooled_shortcut=True, gate_bias=False),
    # mk-minchul/AdaFace: net.py
    "adaface": Dialect(inner_norm=True, pooled_shortcut=True, gate_bias=False),
}


def _conv3(cin: int, cout: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(cin, cout, 3, stride, 1, bias=False)


def _conv1(cin: int, cout: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(cin, cout, 1, stride, bias=False)


class ChannelGate(nn.Module):
    """Squeeze and excitation with a sigmoid on top: with biases and PReLU inside, or with neither and ReLU."""

    def __init__(self, channels: int, bias: bool) -> None:
        super().__init__()
        inner = channels // SE_RATIO
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=bias)
        self.prelu = nn.PReLU(inner) if bias else nn.ReLU()
        self.conv2 = nn.Conv2d(inner, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.conv2(self.prelu(self.conv1(self.pool(x)))))


def _gate(channels: int, se: bool, dialect: Dialect) -> nn.Module:
    return ChannelGate(channels, dialect.gate_bias) if se else nn.Identity()


def _shortcut(cin: int, cout: int, stride: int, dialect: Dialect) -> nn.Module:
    """A projection where the shape changes; the identity where it does not."""
    if cin == cout and (stride == 1 or dialect.pooled_shortcut):
        # max-pooling over 1x1 windows: every second pixel of every second row
        return nn.Identity() if stride == 1 else nn.MaxPool2d(1, stride)
    return nn.Sequential(_conv1(cin, cout, stride), nn.BatchNorm2d(cout, eps=dialect.eps))


class Basic(nn.Module):
    """Norm, 3x3, norm, PReLU, 3x3 with the stride, norm; plus the shortcut, and nothing after the sum."""

    def __init__(self, cin: int, width: int, stride: int, se: bool, dialect: Dialect) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(cin, eps=dialect.eps)
        self.conv1 = _conv3(cin, width)
        self.bn2 = nn.BatchNorm2d(width, eps=dialect.eps) if dialect.inner_norm else nn.Identity()
        self.prelu = nn.PReLU(width)
        self.conv2 = _conv3(width, width, stride)
        self.bn3 = nn.BatchNorm2d(width, eps=dialect.eps)
        self.se = _gate(width, se, dialect)
        self.downsample = _shortcut(cin, width, stride, dialect)

    def forward(self, x: Tensor) -> Tensor:
        out = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.se(self.bn3(self.conv2(out))) + self.downsample(x)  # (b, width, h / stride, w / stride)


class Bottleneck(nn.Module):
    """Norm, 1x1, norm, PReLU, 3x3, norm, PReLU, 1x1 with the stride, norm; plus the shortcut."""

    def __init__(self, cin: int, width: int, stride: int, se: bool, dialect: Dialect) -> None:
        super().__init__()
        cout = width * BOTTLENECK_EXPANSION
        self.bn1 = nn.BatchNorm2d(cin, eps=dialect.eps)
        self.conv1 = _conv1(cin, width)
        self.bn2 = nn.BatchNorm2d(width, eps=dialect.eps)
        self.prelu = nn.PReLU(width)
        self.conv2 = _conv3(width, width)
        self.bn3 = nn.BatchNorm2d(width, eps=dialect.eps)
        self.prelu2 = nn.PReLU(width)
        self.conv3 = _conv1(width, cout, stride)
        self.bn4 = nn.BatchNorm2d(cout, eps=dialect.eps)
        self.se = _gate(cout, se, dialect)
        self.downsample = _shortcut(cin, cout, stride, dialect)

    def forward(self, x: Tensor) -> Tensor:
        out = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        out = self.prelu2(self.bn3(self.conv2(out)))
        return self.se(self.bn4(self.conv3(out))) + self.downsample(x)


class IResNet(Growable):
    """Normalised crops [b 3 112 112] to embeddings [b d].

    ``units`` count the blocks of the stages at 56, 28, 14 and 7 px. ``eps`` is 1e-5 in arcface_torch's checkpoints
    and 2e-5 in MXNet's; ``dropout`` acts on the flattened last map; ``dialect`` is one of ``DIALECTS``. Smaller crops
    have smaller maps, the last of which is enlarged to 7 px. Raises ValueError for arguments out of these ranges.
    """

    block_name = re.compile(r"layer(\d+)\.(\d+)\.")

    def __init__(
        self,
        units: Sequence[int],
        block: Literal["basic", "bottleneck"] = "basic",
        se: bool = False,
        embedding_dim: int = 512,
        dropout: float = 0.0,
        eps: float = 1e-5,
        dialect: DialectName = "insightface",
    ) -> None:
        super().__init__()
        if len(units) != 4 or min(units) < 1:
            raise ValueError(f"IResNet needs 4 unit counts of 1 or more; got {list(units)}")
        if block not in ("basic", "bottleneck"):
            raise ValueError(f"IResNet block is {block!r}; expected 'basic' or 'bottleneck'")
        if dialect not in DIALECTS:
            raise ValueError(f"IResNet dialect is {dialect!r}; expected {', '.join(DIALECTS)}")
        variant = replace(DIALECTS[dialect], eps=eps)
        kind, expansion = (Basic, 1) if block == "basic" else (Bottleneck, BOTTLENECK_EXPANSION)
        outs = [w * expansion for w in WIDTHS]
        self.embedding_dim = embedding_dim
        self.map_channels = {f"stage{i + 1}": c for i, c in enumerate(outs)}
        self.conv1 = _conv3(3, WIDTHS[0])
        self.bn1 = nn.BatchNorm2d(WIDTHS[0], eps=eps)
        self.prelu = nn.PReLU(WIDTHS[0])
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(
                *(kind(cin if i == 0 else cout, width, 2 if i == 0 else 1, se, variant) for i in range(count))
            )
            for cin, cout, width, count in zip((WIDTHS[0], *outs[:-1]), outs, WIDTHS, units, strict=True)
        )
        self.bn2 = nn.BatchNorm2d(outs[-1], eps=eps)
        self.dropout = nn.Dropout(dropout)
        # 512 * 7 * 7 = 25,088 inputs for basic blocks
        self.fc = Float32Linear(outs[-1] * HEAD_PX**2, embedding_dim)
        self.features = nn.BatchNorm1d(embedding_dim, eps=eps)
        self.features.weight.requires_grad_(False)  # head "E": the last norm only centres and scales to unit variance
        self.apply(_initialise)

    def forward_maps(self, x: Tensor) -> Output:
        """The embedding and the outputs of the four stages, "stage1" (56 px) to "stage4" (7 px)."""
        maps: dict[str, Tensor] = {}
        x = self.prelu(self.bn1(self.conv1(x)))  # (b, 64, 112, 112)
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        for name, layer in zip(self.map_channels, layers, strict=True):
            # every layer halves the map: 56, 28, 14, 7 px
            x = maps[name] = layer(x)
        flat = self.dropout(self.bn2(at_head_size(x)).flatten(1))  # (b, 25088) for basic blocks
        return Output(self.features(self.fc(flat)), maps)


def _initialise(module: nn.Module) -> None:
    """Convolutions from N(0, 0.1), gate biases and each block's last norm at zero; the rest has PyTorch's defaults."""
    if isinstance(module, Basic):
        nn.init.zeros_(module.bn3.weight)
    elif isinstance(module, Bottleneck):
        nn.init.zeros_(module.bn4.weight)
    elif isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.1)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
