"""Residual attention networks as FaceX-Zoo and cavaface name and compute them, written down slowly from their facts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference.public_ir import Block, block


class Unit(nn.Module):
    """FaceX-Zoo's block; ``conv4`` is there even where nothing reads it."""

    def __init__(self, cin: int, cout: int, stride: int = 1) -> None:
        super().__init__()
        inner = cout // 4
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(cin), nn.BatchNorm2d(inner), nn.BatchNorm2d(inner)
        self.conv1 = nn.Conv2d(cin, inner, 1, bias=False)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.conv3 = nn.Conv2d(inner, cout, 1, bias=False)
        self.conv4 = nn.Conv2d(cin, cout, 1, stride, bias=False)
        self.changes = cin != cout or stride != 1

    def forward(self, x: Tensor) -> Tensor:
        a = torch.relu(self.bn1(x))
        b = torch.relu(self.bn2(self.conv1(a)))
        c = torch.relu(self.bn3(self.conv2(b)))
        return self.conv3(c) + (self.conv4(a) if self.changes else x)


def ir_unit(cin: int, cout: int, stride: int = 1, se: bool = False) -> Block:
    return block("cavaface", cin, cout, stride, se)


def mask_end(c: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(c),
        nn.ReLU(),
        nn.Conv2d(c, c, 1, bias=False),
        nn.BatchNorm2d(c),
        nn.ReLU(),
        nn.Conv2d(c, c, 1, bias=False),
        nn.Sigmoid(),
    )


def pooled(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 2, 1)


def enlarged(x: Tensor, size: int) -> Tensor:
    return F.interpolate(x, (size, size), mode="bilinear", align_corners=True)


class ModuleStage3(nn.Module):
    def __init__(self, unit, c: int) -> None:
        super().__init__()
        self.first_residual_blocks = unit(c, c)
        self.trunk_branches = nn.Sequential(unit(c, c), unit(c, c))
        self.softmax1_blocks = nn.Sequential(unit(c, c), unit(c, c))
        self.softmax2_blocks = mask_end(c)
        self.last_blocks = unit(c, c)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first_residual_blocks(x)
        trunk = self.trunk_branches(x)
        mask = enlarged(self.softmax1_blocks(pooled(x)), 14) + trunk
        return self.last_blocks((1 + self.softmax2_blocks(mask)) * trunk)


class ModuleStage2(nn.Module):
    def __init__(self, unit, c: int) -> None:
        super().__init__()
        self.first_residual_blocks = unit(c, c)
        self.trunk_branches = nn.Sequential(unit(c, c), unit(c, c))
        self.softmax1_blocks = unit(c, c)
        self.skip1_connection_residual_block = unit(c, c)
        self.softmax2_blocks = nn.Sequential(unit(c, c), unit(c, c))
        self.softmax3_blocks = unit(c, c)
        self.softmax4_blocks = mask_end(c)
        self.last_blocks = unit(c, c)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first_residual_blocks(x)
        trunk = self.trunk_branches(x)
        one = self.softmax1_blocks(pooled(x))
        skip = self.skip1_connection_residual_block(one)
        two = self.softmax2_blocks(pooled(one))
        three = self.softmax3_blocks(enlarged(two, 14) + one + skip)
        mask = self.softmax4_blocks(enlarged(three, 28) + trunk)
        return self.last_blocks((1 + mask) * trunk)


class ModuleStage1(nn.Module):
    """FaceX-Zoo's names in the order of the code, or cavaface's, which adds where FaceX-Zoo multiplies."""

    FACEXZOO = (
        "first_residual_blocks",
        "softmax1_blocks",
        "skip1_connection_residual_block",
        "softmax2_blocks",
        "skip2_connection_residual_block",
        "softmax3_blocks",
        "softmax4_blocks",
        "softmax5_blocks",
        "softmax6_blocks",
        "last_blocks",
    )
    CAVAFACE = (
        "share_residual_block",
        "mask_block1",
        "skip_connect1",
        "mask_block2",
        "skip_connect2",
        "mask_block3",
        "mask_block4",
        "mask_block5",
        "mask_block6",
        "last_block",
    )

    def __init__(self, unit, c: int, cavaface: bool) -> None:
        super().__init__()
        self.names = self.CAVAFACE if cavaface else self.FACEXZOO
        self.adds = cavaface
        self.trunk_branches = nn.Sequential(unit(c, c), unit(c, c))
        for i, name in enumerate(self.names):
            if i == 5:
                self.add_module(name, nn.Sequential(unit(c, c), unit(c, c)))
            else:
                self.add_module(name, mask_end(c) if i == 8 else unit(c, c))

    def forward(self, x: Tensor) -> Tensor:
        first, m1, skip1, m2, skip2, m3, m4, m5, m6, last = (self.get_submodule(name) for name in self.names)
        x = first(x)
        trunk = self.trunk_branches(x)
        one = m1(pooled(x))
        two = m2(pooled(one))
        three = m3(pooled(two))
        four = m4(enlarged(three, 14) + two + skip2(two))
        five = m5(enlarged(four, 28) + one + skip1(one))
        mask = m6(enlarged(five, 56) + trunk)
        return last((1 + mask) + trunk if self.adds else (1 + mask) * trunk)


class FaceXZooAttention(nn.Module):
    def __init__(self, modules: list[int], embedding_dim: int = 512) -> None:
        super().__init__()
        one, two, three = modules
        self.conv1 = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU())
        self.attention_body = nn.Sequential(
            Unit(64, 256),
            *(ModuleStage1(Unit, 256, cavaface=False) for _ in range(one)),
            Unit(256, 512, 2),
            *(ModuleStage2(Unit, 512) for _ in range(two)),
            Unit(512, 1024, 2),
            *(ModuleStage3(Unit, 1024) for _ in range(three)),
            Unit(1024, 2048, 2),
            Unit(2048, 2048),
            Unit(2048, 2048),
        )
        self.output_layer = nn.Sequential(
            nn.Flatten(), nn.Linear(2048 * 7 * 7, embedding_dim, bias=False), nn.BatchNorm1d(embedding_dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.output_layer(self.attention_body(self.conv1(x)))


class CavafaceAttention(nn.Module):
    """In the order in which the modules are added, which is that of the computation."""

    def __init__(self, modules: list[int], se: bool, embedding_dim: int = 512) -> None:
        super().__init__()

        def unit(cin: int, cout: int, stride: int = 1) -> Block:
            return ir_unit(cin, cout, stride, se)

        self.input_layer = nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
        order: dict[str, nn.Module] = {}
        channels = 64
        for stage, (width, many) in enumerate(zip((64, 128, 256), modules, strict=True), 1):
            order[f"residual_block{stage}"] = unit(channels, width, 2)
            channels = width
            for i in range(1, many + 1):
                name = f"attention_module{stage}" if i == 1 else f"attention_module{stage}_{i}"
                if stage == 1:
                    order[name] = ModuleStage1(unit, width, cavaface=True)
                else:
                    order[name] = ModuleStage2(unit, width) if stage == 2 else ModuleStage3(unit, width)
        order["residual_block4"] = unit(256, 512, 2)
        order["residual_block5"] = unit(512, 512)
        order["residual_block6"] = unit(512, 512)
        self.order = list(order)
        for name, module in order.items():
            self.add_module(name, module)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(512 * 7 * 7, embedding_dim),
            nn.BatchNorm1d(embedding_dim, affine=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.input_layer(x)
        for name in self.order:
            x = self.get_submodule(name)(x)
        return self.output_layer(x)
