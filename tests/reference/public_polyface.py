"""The Trojans' EfficientPolyFace as their code names and computes it, written down slowly from its facts.

It takes BGR bytes as floats; its resize leaves out the rounding to bytes, as ours does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Size = int | tuple[int, int]


class Conv(nn.Module):
    def __init__(self, cin: int, cout: int, kernel: Size, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(cout, eps=1e-10)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))


def pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 2, 0, ceil_mode=True)


class Step1(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(Conv(3, 32, 3, 2), Conv(32, 32, 3), Conv(32, 64, 3, 1, 1))
        self.branch1 = Conv(64, 96, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return torch.cat((pool(x), self.branch1(x)), 1)


class Step2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch0 = nn.Sequential(Conv(160, 64, 1), Conv(64, 96, 3))
        self.branch1 = nn.Sequential(
            Conv(160, 64, 1),
            Conv(64, 64, (7, 1), 1, (3, 0)),
            Conv(64, 64, (1, 7), 1, (0, 3)),
            Conv(64, 96, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.branch0(x), self.branch1(x)), 1)


class Step3(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch1 = Conv(192, 192, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((pool(x), self.branch1(x)), 1)


class Stem(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.step1, self.step2, self.step3 = Step1(), Step2(), Step3()

    def forward(self, x: Tensor) -> Tensor:
        return self.step3(self.step2(self.step1(x)))


class A2B(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch0 = nn.Sequential(Conv(384, 256, 1), Conv(256, 256, 3, 1, 1), Conv(256, 384, 3, 2))
        self.branch1 = Conv(384, 384, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.branch0(x), self.branch1(x), pool(x)), 1)


class B2C(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch0 = nn.Sequential(Conv(1152, 256, 1), Conv(256, 256, 3, 1, 1), Conv(256, 256, 3, 2))
        self.branch1 = nn.Sequential(Conv(1152, 256, 1), Conv(256, 256, 3, 2))
        self.branch2 = nn.Sequential(Conv(1152, 256, 1), Conv(256, 384, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.branch0(x), self.branch1(x), self.branch2(x), pool(x)), 1)


class Block(nn.Module):
    """In eval mode: ReLU(x + 0.3 * 0.8 * branches)."""

    def __init__(self, branches: list[nn.Module], joined: int, channels: int) -> None:
        super().__init__()
        for i, branch in enumerate(branches):
            self.add_module(f"branch{i}", branch)
        self.many = len(branches)
        self.stem = nn.Sequential(nn.Conv2d(joined, channels, 1, bias=False), nn.BatchNorm2d(channels, eps=1e-10))

    def forward(self, x: Tensor) -> Tensor:
        out = torch.cat([self.get_submodule(f"branch{i}")(x) for i in range(self.many)], 1)
        return torch.relu(x + 0.3 * self.stem(out) * 0.8)


def block_a() -> Block:
    long = nn.Sequential(Conv(384, 32, 1), Conv(32, 48, 3, 1, 1), Conv(48, 64, 3, 1, 1))
    return Block([long, nn.Sequential(Conv(384, 32, 1), Conv(32, 32, 3, 1, 1)), Conv(384, 32, 1)], 128, 384)


def block_b() -> Block:
    long = nn.Sequential(Conv(1152, 128, 1), Conv(128, 160, (1, 7), 1, (0, 3)), Conv(160, 192, (7, 1), 1, (3, 0)))
    return Block([long, Conv(1152, 192, 1)], 384, 1152)


def block_c() -> Block:
    long = nn.Sequential(Conv(2048, 192, 1), Conv(192, 224, (1, 3), 1, (0, 1)), Conv(224, 256, (3, 1), 1, (1, 0)))
    return Block([long, Conv(2048, 192, 1)], 448, 2048)


class Head(nn.Module):
    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(2048, eps=2e-5)
        self.fc = nn.Linear(2048 * 6 * 6, embedding_dim)
        self.bn2 = nn.BatchNorm1d(embedding_dim, affine=False, eps=2e-5)

    def forward(self, x: Tensor) -> Tensor:
        """The feature before the last norm."""
        return self.fc(self.bn1(x).flatten(1))


class EfficientPolyFace(nn.Module):
    def __init__(self, blocks: list[int], embedding_dim: int = 256) -> None:
        super().__init__()
        self.stem, self.a2b, self.b2c = Stem(), A2B(), B2C()
        self.a10 = nn.Sequential(*(block_a() for _ in range(blocks[0])))
        self.b20 = nn.Sequential(*(block_b() for _ in range(blocks[1])))
        self.c10 = nn.Sequential(*(block_c() for _ in range(blocks[2])))
        self.fc = Head(embedding_dim)

    def forward(self, bgr: Tensor) -> Tensor:
        x = F.interpolate(bgr[:, :, 1:, 1:], (235, 235), mode="bilinear", align_corners=False)
        x = x * 3.2 / 255.0 - 1.6
        return self.fc(self.c10(self.b2c(self.b20(self.a2b(self.a10(self.stem(x)))))))
