"""MobileFaceNet: inverted residual units, a strided start and a depthwise 7x7 instead of pooling.

Source: Chen et al., CCBR 2018, arXiv 1804.07573, in the widths and depths of InsightFace's MXNet networks y1
and y2 (y2 is the light baseline of the LFR 2019 challenge). ``MobileFaceNet()`` has y2's exact parameter count.
Deviations: batch-norm keeps PyTorch's defaults, and the scale of the last norm is learned.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from distill.students.staged import through_stages
from distill.types import FaceNetwork, Output

WIDTHS = (64, 64, 128, 128)  # of the maps of 56, 28, 14 and 7 px
DOWN_HIDDEN = (128, 256, 512)  # inside the three strided units
UNIT_HIDDEN = (64, 128, 256, 256)  # inside the residual units of each stage
LAST_CHANNELS = 512


def _conv(cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Convolution and norm; "same" padding except for the 7x7, which ends the map."""
    padding = 1 if kernel == 3 else 0
    return [nn.Conv2d(cin, cout, kernel, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(cout)]


class Inverted(nn.Module):
    """Pointwise, depthwise 3x3, pointwise without activation; plus the identity where the shape allows."""

    def __init__(self, cin: int, cout: int, hidden: int, stride: int) -> None:
        super().__init__()
        self.residual = stride == 1 and cin == cout
        self.body = nn.Sequential(
            *_conv(cin, hidden, 1),
            nn.PReLU(hidden),
            *_conv(hidden, hidden, 3, stride, groups=hidden),
            nn.PReLU(hidden),
            *_conv(hidden, cout, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        # the sum has no activation: the bottleneck stays linear (MobileNetV2)
        return x + self.body(x) if self.residual else self.body(x)


class MobileFaceNet(FaceNetwork):
    """Normalised crops [b 3 112 112] to embeddings [b d].

    ``blocks`` count the residual units at 56, 28, 14 and 7 px: (2, 8, 16, 4) is y2, (1, 4, 6, 2) y1. A first
    entry of 1 stands for a single depthwise 3x3 in place of units, as in the paper.
    """

    def __init__(self, blocks: Sequence[int] = (2, 8, 16, 4), embedding_dim: int = 256) -> None:
        super().__init__()
        if len(blocks) != 4 or min(blocks) < 1:
            raise ValueError(f"MobileFaceNet needs 4 block counts of 1 or more; got {list(blocks)}")
        self.embedding_dim = embedding_dim
        self.map_channels = {f"stage{i + 1}": w for i, w in enumerate(WIDTHS)}
        self.stem = nn.Sequential(*_conv(3, WIDTHS[0], 3, stride=2), nn.PReLU(WIDTHS[0]))
        self.stage1 = _first_stage(blocks[0])
        self.stage2, self.stage3, self.stage4 = (_stage(i, blocks[i]) for i in (1, 2, 3))
        self.head = nn.Sequential(
            # (b, 128, 7, 7) -> (b, 512, 7, 7)
            *_conv(WIDTHS[-1], LAST_CHANNELS, 1),
            nn.PReLU(LAST_CHANNELS),
            # (b, 512, 1, 1): a learned weight per pixel and channel, because the corners of a face count less
            *_conv(LAST_CHANNELS, LAST_CHANNELS, 7, groups=LAST_CHANNELS),
            nn.Flatten(),
            nn.Linear(LAST_CHANNELS, embedding_dim),
            nn.BatchNorm1d(embedding_dim),
        )
        self.apply(_initialise)

    def forward_maps(self, x: Tensor) -> Output:
        """The embedding and the outputs of the four resolution stages."""
        return through_stages(self, self.stem, self.head, x)


def _first_stage(count: int) -> nn.Sequential:
    width = WIDTHS[0]
    if count == 1:
        return nn.Sequential(*_conv(width, width, 3, groups=width), nn.PReLU(width))
    return nn.Sequential(*(Inverted(width, width, UNIT_HIDDEN[0], 1) for _ in range(count)))


def _stage(index: int, count: int) -> nn.Sequential:
    # halves the map and sets the stage's width; not one of its ``count`` units
    down = Inverted(WIDTHS[index - 1], WIDTHS[index], DOWN_HIDDEN[index - 1], 2)
    units = (Inverted(WIDTHS[index], WIDTHS[index], UNIT_HIDDEN[index], 1) for _ in range(count))
    return nn.Sequential(down, *units)


def _initialise(module: nn.Module) -> None:
    """He initialisation by fan-in for PReLU at 0.25, as in the other students."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, a=0.25, mode="fan_in", nonlinearity="leaky_relu")
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
