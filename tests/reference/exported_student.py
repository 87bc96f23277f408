"""Fixtures that several folders of tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from distill.export.onnx_file import Exported, describe, export_onnx
from distill.students.vargnet import Down, Embedding, Head, Normal
from distill.types import Preprocessing


def lived_in(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random norms and slopes, as after training: fresh ones are the identity, and folding them proves nothing."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            for tensor, low, high in (
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
            ):
                tensor.uniform_(low, high, generator=generator)
        elif isinstance(module, nn.PReLU):
            module.weight.data.uniform_(-0.2, 0.5, generator=generator)
    return network.eval()


@pytest.fixture(scope="session")
def network() -> nn.Module:
    """VarGNet's own blocks, one of each: groups, channel gates, PReLU, a linear layer with BN1d."""
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.PReLU(8))
    blocks = (Head(8, 8, 4), Down(8, 16, 8), Normal(16, 8, 4), nn.MaxPool2d(2), Embedding(16, 128, 64, 8))
    network = lived_in(nn.Sequential(stem, *blocks))
    for weight in (p for p in network.parameters() if p.ndim == 4):
        weight.data = weight.data.to(memory_format=torch.channels_last)  # as training leaves them
    return network


@pytest.fixture(scope="session")
def exported(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    path = tmp_path_factory.mktemp("export") / "student.onnx"
    return export_onnx(network, path, describe(network, 64, Preprocessing(), "runs/small", "distill 0"), opset=18)


@pytest.fixture
def copy_of(exported: Exported, tmp_path: Path) -> Path:
    """A copy of the file that a test may spoil."""
    path = tmp_path / "copy.onnx"
    path.write_bytes(exported.path.read_bytes())
    return path
