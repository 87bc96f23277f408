"""IR-ResNet, the improved residual network of ArcFace, as a Large-protocol teacher.

Source: Deng et al., ArcFace (arXiv 1801.07698), block "IR" and head "E". In a new network every block starts as its
shortcut: the last norm's scale is zero (Goyal et al., arXiv 1706.02677, section 5.1), so that 50 blocks train as easily
as a few at first, and the weights of a shallower network give a deeper one with the same outputs. The basic block
without gates carries the parameter names of InsightFace's ``arcface_torch``, so that its checkpoints load unchanged.
The channel gate is the one of InsightFace's MXNet network (ratio 16, biases, PReLU inside); the bottleneck block is
AdaFace's (arXiv 2204.00964), whose stride sits in the last 1x1. Deviation: none that changes a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from distill.types import HEAD_PX, FaceNetwork, Output, at_head_size
from teachers.weights import WeightFile, load_into, named_for

WIDTHS = (64, 128, 256, 512)
BOTTLENECK_EXPANSION = 4
SE_RATIO = 16


def _conv3(cin: int, cout: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(cin, cout, 3, stride, 1, bias=False)


def _conv1(cin: int, cout: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(cin, cout, 1, stride, bias=False)


class ChannelGate(nn.Module):
    """Squeeze and excitation with biases, PReLU inside and a sigmoid on top."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // SE_RATIO
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = nn.Conv2d(channels, inner, 1)
        self.prelu = nn.PReLU(inner)
        self.conv2 = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.conv2(self.prelu(self.conv1(self.pool(x)))))


def _gate(channels: int, se: bool) -> nn.Module:
    return ChannelGate(channels) if se else nn.Identity()


def _shortcut(cin: int, cout: int, stride: int, eps: float) -> nn.Module:
    """The first block of every stage projects; the others, which keep the shape, are the identity."""
    if stride == 1 and cin == cout:
        return nn.Identity()
    return nn.Sequential(_conv1(cin, cout, stride), nn.BatchNorm2d(cout, eps=eps))


class Basic(nn.Module):
    """Norm, 3x3, norm, PReLU, 3x3 with the stride, norm; plus the shortcut, and nothing after the sum."""

    def __init__(self, cin: int, width: int, stride: int, se: bool, eps: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(cin, eps=eps)
        self.conv1 = _conv3(cin, width)
        self.bn2 = nn.BatchNorm2d(width, eps=eps)
        self.prelu = nn.PReLU(width)
        self.conv2 = _conv3(width, width, stride)
        self.bn3 = nn.BatchNorm2d(width, eps=eps)
        self.se = _gate(width, se)
        self.downsample = _shortcut(cin, width, stride, eps)

    def forward(self, x: Tensor) -> Tensor:
        out = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.se(self.bn3(self.conv2(out))) + self.downsample(x)  # (b, width, h / stride, w / stride)


class Bottleneck(nn.Module):
    """Norm, 1x1, norm, PReLU, 3x3, norm, PReLU, 1x1 with the stride, norm; plus the shortcut."""

    def __init__(self, cin: int, width: int, stride: int, se: bool, eps: float) -> None:
        super().__init__()
        cout = width * BOTTLENECK_EXPANSION
        self.bn1 = nn.BatchNorm2d(cin, eps=eps)
        self.conv1 = _conv1(cin, width)
        self.bn2 = nn.BatchNorm2d(width, eps=eps)
        self.prelu = nn.PReLU(width)
        self.conv2 = _conv3(width, width)
        self.bn3 = nn.BatchNorm2d(width, eps=eps)
        self.prelu2 = nn.PReLU(width)
        self.conv3 = _conv1(width, cout, stride)
        self.bn4 = nn.BatchNorm2d(cout, eps=eps)
        self.se = _gate(cout, se)
        self.downsample = _shortcut(cin, cout, stride, eps)

    def forward(self, x: Tensor) -> Tensor:
        out = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        out = self.prelu2(self.bn3(self.conv2(out)))
        return self.se(self.bn4(self.conv3(out))) + self.downsample(x)


class IResNet(FaceNetwork):
    """Normalised crops [b 3 112 112] to embeddings [b d].

    ``units`` count the blocks of the stages at 56, 28, 14 and 7 px. ``eps`` is 1e-5 in arcface_torch's checkpoints
    and 2e-5 in MXNet's; ``dropout`` acts on the flattened last map.
    """

    def __init__(
        self,
        units: Sequence[int],
        block: Literal["basic", "bottleneck"] = "basic",
        se: bool = False,
        embedding_dim: int = 512,
        dropout: float = 0.0,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        if len(units) != 4 or min(units) < 1:
            raise ValueError(f"IResNet needs 4 unit counts of 1 or more; got {list(units)}")
        if block not in ("basic", "bottleneck"):
            raise ValueError(f"IResNet block is {block!r}; expected 'basic' or 'bottleneck'")
        kind, expansion = (Basic, 1) if block == "basic" else (Bottleneck, BOTTLENECK_EXPANSION)
        outs = [w * expansion for w in WIDTHS]
        self.embedding_dim = embedding_dim
        self.map_channels = {f"stage{i + 1}": c for i, c in enumerate(outs)}
        self.conv1 = _conv3(3, WIDTHS[0])
        self.bn1 = nn.BatchNorm2d(WIDTHS[0], eps=eps)
        self.prelu = nn.PReLU(WIDTHS[0])
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(*(kind(cin if i == 0 else cout, width, 2 if i == 0 else 1, se, eps) for i in range(count)))
            for cin, cout, width, count in zip((WIDTHS[0], *outs[:-1]), outs, WIDTHS, units, strict=True)
        )
        self.bn2 = nn.BatchNorm2d(outs[-1], eps=eps)
        self.dropout = nn.Dropout(dropout)
        # 512 * 7 * 7 = 25,088 inputs for basic blocks
        self.fc = nn.Linear(outs[-1] * HEAD_PX**2, embedding_dim)
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
        return Output(self._embed(self.dropout(self.bn2(at_head_size(x)).flatten(1))), maps)

    def _embed(self, flat: Tensor) -> Tensor:
        """The dense layer sums 25,088 products, so it stays in float32 under autocast, as in arcface_torch."""
        with torch.autocast(flat.device.type, enabled=False):
            return self.features(self.fc(flat.to(self.fc.weight.dtype)))


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


_BLOCK = re.compile(r"layer(\d+)\.(\d+)\.")


def grow_into(network: IResNet, shallow: WeightFile) -> None:
    """Fill ``network`` with the weights of one with as many blocks per stage or fewer; the outputs are then the same.

    Raises UserError where a weight fits neither by name nor by shape, or is missing from a block that both have.
    """
    shallow = named_for(network.state_dict(), shallow)
    known = _blocks(shallow.tensors)
    # blocks that only the deeper network has: identities, because their last norm's scale is zero
    fresh = {key: value for key, value in network.state_dict().items() if (block := _block(key)) and block not in known}
    load_into(network, WeightFile(shallow.path, {**shallow.tensors, **fresh}))


def _blocks(keys: Iterable[str]) -> set[tuple[str, str]]:
    return {block for key in keys if (block := _block(key))}


def _block(key: str) -> tuple[str, str] | None:
    """Stage and number of the block that a weight belongs to."""
    found = _BLOCK.match(key)
    return (found[1], found[2]) if found else None
