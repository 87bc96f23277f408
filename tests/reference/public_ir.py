"""IR networks as TreB1eN's line of public code names and computes them, written down slowly from its facts.

``dialect``: "treb1en" (FaceX-Zoo, TreB1eN), "cavaface" or "adaface" (with norms inside, and bottlenecks). The output is
the embedding before any division by its length.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512)


class Gate(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(mean))))


class Block(nn.Module):
    """``res_layer`` and ``shortcut_layer``: their sum, and nothing after it."""

    def __init__(self, res_layer: list[nn.Module], cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.res_layer = nn.Sequential(*res_layer)
        self.stride = stride
        self.shortcut_layer = None
        if cin != cout:
            self.shortcut_layer = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x: Tensor) -> Tensor:
        if self.shortcut_layer is None:
            return self.res_layer(x) + x[:, :, :: self.stride, :: self.stride]
        return self.res_layer(x) + self.shortcut_layer(x)


def block(dialect: str, cin: int, cout: int, stride: int, se: bool) -> Block:
    """A basic block; 3x3, PReLU, 3x3 with the stride."""
    first = nn.Conv2d(cin, cout, 3, 1, 1, bias=False)
    second = nn.Conv2d(cout, cout, 3, stride, 1, bias=False)
    layers: list[nn.Module] = [nn.BatchNorm2d(cin), first]
    if dialect == "adaface":
        layers.append(nn.BatchNorm2d(cout))
    layers += [nn.PReLU(cout), second, nn.BatchNorm2d(cout)]
    made = Block(layers, cin, cout, stride)
    if se:
        made.res_layer.add_module("se_block" if dialect == "adaface" else "5", Gate(cout))
    return made


def bottleneck(cin: int, cout: int, stride: int, se: bool) -> Block:
    """AdaFace's 1x1, 3x3, 1x1 with the stride in the last."""
    inner = cout // 4
    layers: list[nn.Module] = [
        nn.BatchNorm2d(cin),
        nn.Conv2d(cin, inner, 1, bias=False),
        nn.BatchNorm2d(inner),
        nn.PReLU(inner),
        nn.Conv2d(inner, inner, 3, 1, 1, bias=False),
        nn.BatchNorm2d(inner),
        nn.PReLU(inner),
        nn.Conv2d(inner, cout, 1, stride, bias=False),
        nn.BatchNorm2d(cout),
    ]
    made = Block(layers, cin, cout, stride)
    if se:
        made.res_layer.add_module("se_block", Gate(cout))
    return made


class PublicIR(nn.Module):
    """Crops [b 3 112 112] to embeddings [b d]; ``units`` blocks in the four stages."""

    def __init__(
        self, dialect: str, units: list[int], se: bool = False, deep: bool = False, embedding_dim: int = 512
    ) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
        blocks: list[nn.Module] = []
        channels = 64
        for width, many in zip(WIDTHS, units, strict=True):
            cout = 4 * width if deep else width
            for i in range(many):
                stride = 2 if i == 0 else 1
                made = bottleneck(channels, cout, stride, se) if deep else block(dialect, channels, cout, stride, se)
                blocks.append(made)
                channels = cout
        self.body = nn.Sequential(*blocks)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(channels * 7 * 7, embedding_dim),
            nn.BatchNorm1d(embedding_dim, affine=dialect == "treb1en"),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.output_layer(self.body(self.input_layer(x)))
