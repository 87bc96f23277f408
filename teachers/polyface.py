"""The Trojans' backbone, a deep Inception-ResNet, as a Large-protocol teacher.

Source: Liu et al., arXiv 1909.00632, and liuyuisanai/trojans-face-recognizer: EfficientPolyFace/EfficientPolyFace.py.
The stem of Inception-v4 and residual blocks A, B and C with factorised kernels (Szegedy et al., arXiv 1602.07261),
each branch scaled by 0.3, with stochastic depth (Huang et al., arXiv 1603.09382). The network itself cuts the first
row and column of the 112 px crop and enlarges the rest to 235 px. Deviations: it enlarges normalised pixels where the
authors enlarge bytes and round; in a new network every block starts as its shortcut, so that networks grow; stochastic
depth drops blocks for the whole batch as the authors do, but draws one number where they draw one on each GPU.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.types import CROP_PX, Output
from teachers.dense import Float32Linear
from teachers.growth import Growable

EPS = 1e-10
HEAD_EPS = 2e-5
"""The authors' epsilons: of all norms before the head, and of the head's two."""
RESIDUAL_SCALE = 0.3
INPUT_PX = 235
LAST_PX = 6
"""Side of the last map for an input of 235 px."""

Size = int | tuple[int, int]


class Conv(nn.Sequential):
    """Convolution, norm, ReLU."""

    def __init__(self, cin: int, cout: int, kernel: Size, stride: int = 1, pad: bool = True) -> None:
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if pad else 0
        super().__init__(
            nn.Conv2d(cin, cout, (height, width), stride, padding, bias=False), nn.BatchNorm2d(cout, eps=EPS), nn.ReLU()
        )


def _pool() -> nn.Module:
    # the maps have odd sides, so that this size is the one of the convolutions beside it
    return nn.MaxPool2d(3, 2)


class Branches(nn.Module):
    """Several branches over one map, joined by channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def _stem() -> nn.Sequential:
    """235 px to 384 channels at 27 px (Inception-v4, figure 3)."""
    return nn.Sequential(
        Conv(3, 32, 3, 2, pad=False),  # 117 px
        Conv(32, 32, 3, pad=False),  # 115
        Conv(32, 64, 3),
        Branches(_pool(), Conv(64, 96, 3, 2, pad=False)),  # 160 channels, 57
        Branches(
            nn.Sequential(Conv(160, 64, 1), Conv(64, 96, 3, pad=False)),
            nn.Sequential(Conv(160, 64, 1), Conv(64, 64, (7, 1)), Conv(64, 64, (1, 7)), Conv(64, 96, 3, pad=False)),
        ),  # 192 channels, 55
        Branches(_pool(), Conv(192, 192, 3, 2, pad=False)),  # 384 channels, 27
    )


def _branches_a() -> Branches:
    return Branches(
        nn.Sequential(Conv(384, 32, 1), Conv(32, 48, 3), Conv(48, 64, 3)),
        nn.Sequential(Conv(384, 32, 1), Conv(32, 32, 3)),
        Conv(384, 32, 1),
    )


def _branches_b() -> Branches:
    return Branches(
        nn.Sequential(Conv(1152, 128, 1), Conv(128, 160, (1, 7)), Conv(160, 192, (7, 1))), Conv(1152, 192, 1)
    )


def _branches_c() -> Branches:
    return Branches(
        nn.Sequential(Conv(2048, 192, 1), Conv(192, 224, (1, 3)), Conv(224, 256, (3, 1))), Conv(2048, 192, 1)
    )


def _reduce_a() -> Branches:
    """384 channels at 27 px to 1152 at 13."""
    return Branches(
        nn.Sequential(Conv(384, 256, 1), Conv(256, 256, 3), Conv(256, 384, 3, 2, pad=False)),
        Conv(384, 384, 3, 2, pad=False),
        _pool(),
    )


def _reduce_b() -> Branches:
    """1152 channels at 13 px to 2048 at 6."""
    return Branches(
        nn.Sequential(Conv(1152, 256, 1), Conv(256, 256, 3), Conv(256, 256, 3, 2, pad=False)),
        nn.Sequential(Conv(1152, 256, 1), Conv(256, 256, 3, 2, pad=False)),
        nn.Sequential(Conv(1152, 256, 1), Conv(256, 384, 3, 2, pad=False)),
        _pool(),
    )


@dataclass(frozen=True)
class Kind:
    """One of the three kinds of block: its branches, the channels of their joined outputs, its own channels."""

    branches: Callable[[], Branches]
    joined: int
    channels: int


KINDS = (Kind(_branches_a, 128, 384), Kind(_branches_b, 384, 1152), Kind(_branches_c, 448, 2048))
"""A, B and C, at 27, 13 and 6 px."""


class PolyBlock(nn.Module):
    """ReLU of the input plus 0.3 times the branches; with stochastic depth while training.

    One number decides for the whole batch, drawn from torch's generator of the CPU: with a seed it is repeatable. A
    dropped block returns its input, which a ReLU precedes.
    """

    def __init__(self, kind: Kind, keep: float) -> None:
        super().__init__()
        self.branches = kind.branches()
        self.joint = nn.Sequential(
            nn.Conv2d(kind.joined, kind.channels, 1, bias=False), nn.BatchNorm2d(kind.channels, eps=EPS)
        )
        self.keep = keep

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            # the expectation over kept and dropped blocks
            return F.relu(x + RESIDUAL_SCALE * self.keep * self.joint(self.branches(x)))
        kept = torch.rand(()) < self.keep
        if torch.compiler.is_compiling():
            # a branch in Python would make one graph for every pattern of dropped blocks
            return F.relu(x + RESIDUAL_SCALE * kept.to(x) * self.joint(self.branches(x)))
        return F.relu(x + RESIDUAL_SCALE * self.joint(self.branches(x))) if kept else x


class PolyFace(Growable):
    """Normalised crops [b 3 112 112] to embeddings [b d].

    ``blocks`` count the residual blocks A, B and C at 27, 13 and 6 px: (23, 38, 23) is the image network, (20, 30, 20)
    the one for videos. ``keep`` is the rate of blocks kept by stochastic depth, ``dropout`` acts on whole channels of
    the last map. ``feature`` "raw" is the authors' embedding, taken before the last norm when the network is applied;
    it is trained behind the norm in both cases. Raises ValueError for arguments out of these ranges.
    """

    block_name = re.compile(r"stage(\d)\.(\d+)\.")

    def __init__(
        self,
        blocks: Sequence[int],
        embedding_dim: int = 512,
        keep: float = 0.8,
        dropout: float = 0.4,
        feature: Literal["normed", "raw"] = "normed",
    ) -> None:
        super().__init__()
        if len(blocks) != 3 or min(blocks) < 0:
            raise ValueError(f"PolyFace needs 3 block counts of 0 or more; got {list(blocks)}")
        if not 0 < keep <= 1:
            raise ValueError(f"PolyFace keep is {keep}; expected a rate above 0, at most 1")
        if feature not in ("normed", "raw"):
            raise ValueError(f"PolyFace feature is {feature!r}; expected normed or raw")
        self.embedding_dim = embedding_dim
        self.feature = feature
        self.map_channels = {f"stage{i + 2}": kind.channels for i, kind in enumerate(KINDS)}
        self.stem, self.reduce_a, self.reduce_b = _stem(), _reduce_a(), _reduce_b()
        self.stage2, self.stage3, self.stage4 = (
            nn.Sequential(*(PolyBlock(kind, keep) for _ in range(count)))
            for kind, count in zip(KINDS, blocks, strict=True)
        )
        self.norm = nn.BatchNorm2d(2048, eps=HEAD_EPS)
        self.dropout = nn.Dropout2d(dropout)
        # 2048 * 6 * 6 = 73,728 inputs
        self.fc = Float32Linear(2048 * LAST_PX**2, embedding_dim)
        self.features = nn.BatchNorm1d(embedding_dim, affine=False, eps=HEAD_EPS)
        self.apply(_initialise)

    def forward_maps(self, x: Tensor) -> Output:
        """The embedding and the maps behind the blocks: "stage2" (27 px), "stage3" (13 px) and "stage4" (6 px)."""
        a = self.stage2(self.stem(_enlarged(x)))  # (b, 384, 27, 27)
        b = self.stage3(self.reduce_a(a))  # (b, 1152, 13, 13)
        c = self.stage4(self.reduce_b(b))  # (b, 2048, 6, 6)
        last = c if c.shape[-1] == LAST_PX else F.interpolate(c, (LAST_PX, LAST_PX), mode="bilinear")
        dense = self.fc(self.dropout(self.norm(last)).flatten(1))
        embedding = dense if self.feature == "raw" and not self.training else self.features(dense)
        return Output(embedding, {"stage2": a, "stage3": b, "stage4": c})


def _enlarged(x: Tensor) -> Tensor:
    """Crops [b c n n] without their first row and column, at 235 px; smaller crops at the nearest side 32 k + 43.

    All maps down to the reductions then have odd sides, and convolution and pooling give the same size. Bilinear, with
    the corners of pixels in place (``align_corners=False``), as OpenCV resizes.
    """
    side = INPUT_PX * (x.shape[-1] - 1) / (CROP_PX - 1)
    size = 32 * round((side - 43) / 32) + 43
    return F.interpolate(x[..., 1:, 1:], (size, size), mode="bilinear", align_corners=False)


def _initialise(module: nn.Module) -> None:
    """He initialisation by fan-in; each block's last norm at zero."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
    elif isinstance(module, PolyBlock):
        nn.init.zeros_(module.joint[1].weight)  # pyright: ignore[reportArgumentType]
