"""Residual attention networks for faces, as Large-protocol teachers: attention-56, -92 and -152.

Source: Wang et al., Residual Attention Network (arXiv 1704.06904), with p = 1, t = 2, r = 1. For faces the units are
IR units with channel gates and the stem has stride 1 (cavaface: backbone/resattnet.py), or the units are the paper's
bottlenecks behind a 7x7 stem (FaceX-Zoo: backbone/AttentionNets.py). The depth is 20 + 12 * modules by the paper's
way of counting. A module's output is (1 + M) * T, eq. 3 of the paper; cavaface's first stage computes (1 + M) + T,
which ``added_mask`` reproduces for weights that were trained so. FaceX-Zoo's files hold projections that no unit uses.
Deviations: in a new network every unit starts as its shortcut and every mask as 1/2, so that a deeper network starts
with the outputs of a shallower one (``absorb``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.errors import UserError
from distill.types import HEAD_PX, Output, at_head_size
from teachers.dense import Float32Linear
from teachers.growth import Growable
from teachers.iresnet import DIALECTS, Basic

UnitKind = Literal["ir_se", "ir", "bottleneck"]

WIDTHS: dict[UnitKind, tuple[int, ...]] = {
    # of the stem and of the stages at 56, 28, 14 and 7 px
    "ir_se": (64, 64, 128, 256, 512),
    "ir": (64, 64, 128, 256, 512),
    "bottleneck": (64, 256, 512, 1024, 2048),
}
LEVELS = (3, 2, 1)
"""How often the masks of the stages at 56, 28 and 14 px halve their map: down to 7 px each."""
FRESH_GAIN = 1.5
"""1 + M of a new module, whose mask is sigmoid(0) everywhere."""


class PreActivation(nn.Module):
    """The paper's bottleneck: norm and ReLU before each convolution; the projection follows the first ReLU."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        inner = cout // 4
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(cin), nn.BatchNorm2d(inner), nn.BatchNorm2d(inner)
        self.conv1 = nn.Conv2d(cin, inner, 1, bias=False)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.conv3 = nn.Conv2d(inner, cout, 1, bias=False)
        same = cin == cout and stride == 1
        self.projection = None if same else nn.Conv2d(cin, cout, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        first = F.relu(self.bn1(x))
        out = self.conv2(F.relu(self.bn2(self.conv1(first))))
        out = self.conv3(F.relu(self.bn3(out)))
        return out + (x if self.projection is None else self.projection(first))  # (b, cout, h / stride, w / stride)


def _unit(kind: UnitKind, cin: int, cout: int, stride: int = 1) -> nn.Module:
    if kind == "bottleneck":
        return PreActivation(cin, cout, stride)
    return Basic(cin, cout, stride, kind == "ir_se", DIALECTS["facexzoo"])


class Hourglass(nn.Module):
    """The mask branch before its head: halve the map ``levels`` times, then enlarge it as often, with skips."""

    def __init__(self, kind: UnitKind, width: int, levels: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.down = _unit(kind, width, width)
        self.inner = Hourglass(kind, width, levels - 1) if levels > 1 else None
        self.skip = _unit(kind, width, width) if levels > 1 else None
        self.up = _unit(kind, width, width)

    def forward(self, x: Tensor) -> Tensor:
        small = self.down(self.pool(x))  # (b, c, h / 2, w / 2)
        if self.inner is None or self.skip is None:
            out = self.up(small)
        else:
            out = self.up(self.inner(small) + small + self.skip(small))
        # align_corners as in the public networks; a size and no factor, for crops whose maps have odd sides
        return F.interpolate(out, x.shape[-2:], mode="bilinear", align_corners=True)


class AttentionModule(nn.Module):
    """A unit, then a trunk of two units times (1 + mask), then a unit; the map keeps its shape.

    ``added_mask``: (1 + mask) plus the trunk instead.
    """

    def __init__(self, kind: UnitKind, width: int, levels: int, added_mask: bool) -> None:
        super().__init__()
        self.first = _unit(kind, width, width)
        self.trunk = nn.Sequential(_unit(kind, width, width), _unit(kind, width, width))
        self.hourglass = Hourglass(kind, width, levels)
        self.mask = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 1, bias=False),
            nn.Sigmoid(),
        )
        self.last = _unit(kind, width, width)
        self.added_mask = added_mask

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        trunk = self.trunk(x)  # (b, c, h, w), as the mask
        mask = self.mask(self.hourglass(x) + trunk)
        return self.last((1 + mask) + trunk if self.added_mask else (1 + mask) * trunk)


class AttentionNet(Growable):
    """Normalised crops [b 3 112 112] to embeddings [b d].

    ``modules`` count the attention modules at 56, 28 and 14 px: (1, 1, 1), (1, 2, 3) and (3, 4, 4) are 56, 92 and 152.
    ``units`` are the family's residual units: IR with or without channel gates, or the paper's bottlenecks.
    ``dropout`` acts on the flattened last map; ``added_mask`` makes the first stage that of cavaface. Raises ValueError
    for arguments out of these ranges.
    """

    block_name = re.compile(r"stage(\d)\.(\d+)\.")

    def __init__(
        self,
        modules: Sequence[int],
        units: UnitKind = "ir_se",
        embedding_dim: int = 512,
        dropout: float = 0.0,
        added_mask: bool = False,
    ) -> None:
        super().__init__()
        if len(modules) != 3 or min(modules) < 0:
            raise ValueError(f"AttentionNet needs 3 module counts of 0 or more; got {list(modules)}")
        if units not in WIDTHS:
            raise ValueError(f"AttentionNet units are {units!r}; expected {', '.join(WIDTHS)}")
        stem, *widths = WIDTHS[units]
        self.embedding_dim = embedding_dim
        self.added_mask = added_mask
        self.map_channels = {f"stage{i + 1}": c for i, c in enumerate(widths)}
        plain = units == "bottleneck"
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 7, 2, 3, bias=False) if plain else nn.Conv2d(3, stem, 3, 1, 1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU() if plain else nn.PReLU(stem),
        )
        self.stage1, self.stage2, self.stage3 = (
            nn.Sequential(
                # the bottleneck network's stem has halved the map already
                _unit(units, cin, cout, 1 if plain and i == 0 else 2),
                *(AttentionModule(units, cout, LEVELS[i], added_mask and i == 0) for _ in range(count)),
            )
            for i, (cin, cout, count) in enumerate(zip((stem, *widths[:2]), widths[:3], modules, strict=True))
        )
        self.stage4 = nn.Sequential(
            _unit(units, widths[2], widths[3], 2), *(_unit(units, widths[3], widths[3]) for _ in range(2))
        )
        self.norm = nn.Identity() if plain else nn.BatchNorm2d(widths[3])
        self.dropout = nn.Dropout(dropout)
        # 512 * 7 * 7 = 25,088 inputs for IR units, four times as many for bottlenecks
        self.fc = Float32Linear(widths[3] * HEAD_PX**2, embedding_dim, bias=not plain)
        self.features = nn.BatchNorm1d(embedding_dim)
        self.features.weight.requires_grad_(plain)  # without a learned scale behind IR units (head "E")
        self.apply(_initialise)

    def forward_maps(self, x: Tensor) -> Output:
        """The embedding and the outputs of the four stages, "stage1" (56 px) to "stage4" (7 px)."""
        maps: dict[str, Tensor] = {}
        x = self.stem(x)
        for name, stage in zip(self.map_channels, (self.stage1, self.stage2, self.stage3, self.stage4), strict=True):
            x = maps[name] = stage(x)
        flat = self.dropout(self.norm(at_head_size(x)).flatten(1))
        return Output(self.features(self.fc(flat)), maps)

    @torch.no_grad()
    def absorb(self, added: Counter[str]) -> None:
        """A new module multiplies its map by ``FRESH_GAIN``; the norms that read a stage's end take that out again.

        So the embedding stays as it was, and the map of a grown stage is ``FRESH_GAIN`` ** (new modules) times itself.
        """
        if self.added_mask and added["1"]:
            raise UserError("init is of a network with an added mask (added_mask=true); its first stage cannot grow")
        followers = {"1": self.stage2, "2": self.stage3, "3": self.stage4}
        for stage, count in added.items():
            gain = FRESH_GAIN**count
            for norm in _first_norms(followers[stage][0]):
                assert norm.running_mean is not None
                assert norm.running_var is not None
                norm.running_mean.mul_(gain)
                norm.running_var.mul_(gain**2)


def _first_norms(unit: nn.Module) -> list[nn.BatchNorm2d]:
    """The norms of a projecting unit that see its input, directly or behind the projection, which is linear."""
    if isinstance(unit, PreActivation):
        return [unit.bn1]
    assert isinstance(unit, Basic)
    assert isinstance(unit.downsample, nn.Sequential)
    projected = unit.downsample[1]
    assert isinstance(projected, nn.BatchNorm2d)
    return [unit.bn1, projected]


def _initialise(module: nn.Module) -> None:
    """He initialisation by fan-out; each unit's last norm and each mask's last convolution at zero."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, Basic):
        nn.init.zeros_(module.bn3.weight)
    elif isinstance(module, PreActivation):
        # no norm after the last convolution
        nn.init.zeros_(module.conv3.weight)
    elif isinstance(module, AttentionModule):
        nn.init.zeros_(module.mask[5].weight)  # pyright: ignore[reportArgumentType]
