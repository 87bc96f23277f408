from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from distill.export import onnx_file
from distill.export.onnx_file import Exported, describe, export_onnx, state_sha256
from distill.export.parity import parity, random_images
from distill.students.mobilefacenet import MobileFaceNet
from distill.students.vargnet import VarGNet
from distill.types import Preprocessing, UserError


def _metadata(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def test_dynamic_batch_computes_what_torch_computes(network: nn.Module, exported: Exported) -> None:
    images = torch.cat([random_images(8), torch.zeros(1, 3, 112, 112)])
    parity(network, exported.path, images, (1, 2, 7)).require(max_relative=1e-5, max_cosine=1e-9)


def test_the_file_is_alone_folded_and_small(network: nn.Module, exported: Exported) -> None:
    model = onnx.load(exported.path, load_external_data=False)
    weights = sum(numpy_helper.to_array(t).nbytes for t in model.graph.initializer)
    assert [p.name for p in exported.path.parent.iterdir()] == ["student.onnx"]
    assert exported.bytes == exported.path.stat().st_size
    assert exported.bytes - weights < 40_000
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    assert not model.graph.value_info
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert [entry.version for entry in model.opset_import] == [exported.opset] == [18]


def test_metadata_says_what_the_file_is(network: nn.Module, exported: Exported) -> None:
    found = _metadata(exported.path)
    preprocessing = json.loads(found["preprocessing"])
    assert preprocessing == {"order": "rgb", "mean": [127.5] * 3, "std": [128.0] * 3}
    assert found["embedding_dim"] == "64"
    assert found["run"] == "runs/small"
    assert found["weights_sha256"] == state_sha256(network)
    assert json.loads(found["versions"])["torch"] == torch.__version__
    assert json.loads(found["versions"])["project"] == found["producer"] == "distill 0"


@pytest.mark.parametrize("opset", [11, 13, 17, 25])
def test_an_opset_that_the_exporter_cannot_write(network: nn.Module, opset: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"opset is {opset}"):
        export_onnx(network, tmp_path / "student.onnx", {}, opset)


def test_another_opset_than_asked_for_is_noticed(exported: Exported) -> None:
    with pytest.raises(UserError, match=r"opset is 20, but the exporter wrote \{'': 18\}"):
        onnx_file._check(onnx.load(exported.path), 20)


class LeadingNorm(nn.Module):
    """An IR-like network: no layer before the first norm, one before the second and the last."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv, self.second = (
            nn.BatchNorm2d(3),
            nn.Conv2d(3, 8, 3, 8, 1),
            nn.BatchNorm2d(8, affine=False),
        )
        self.fc, self.last = nn.Linear(8 * 14 * 14, 16), nn.BatchNorm1d(16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.conv(self.first(x)))
        return self.last(self.fc(x.flatten(1)))


def test_a_norm_without_a_layer_of_its_own_stays(tmp_path: Path) -> None:
    network = LeadingNorm().train()
    for _ in range(3):
        network(3 * torch.randn(4, 3, 112, 112) + 1)
    before = state_sha256(network)
    done = export_onnx(network, tmp_path / "ir.onnx", {}, opset=18)
    norms = [node for node in onnx.load(done.path).graph.node if node.op_type == "BatchNormalization"]
    assert [node.input[0] for node in norms] == ["images"]
    parity(network, done.path, random_images(7)).require(max_relative=1e-5, max_cosine=1e-9)
    assert network.training
    assert state_sha256(network) == before
    assert all(p.requires_grad for p in network.parameters())


def test_denormal_weights_do_not_ship(tmp_path: Path) -> None:
    conv = nn.Conv2d(3, 2, 1, bias=False)
    conv.weight.data[0] = 1e-40
    network = nn.Sequential(conv, nn.AvgPool2d(112), nn.Flatten(), nn.Linear(2, 4)).eval()
    done = export_onnx(network, tmp_path / "tiny.onnx", {}, opset=20)
    assert done.flushed_denormals == 3
    stored = [numpy_helper.to_array(t) for t in onnx.load(done.path).graph.initializer]
    assert not any(((a != 0) & (abs(a) < 1e-38)).any() for a in stored if a.dtype == "float32")
    assert float(conv.weight.detach()[0, 0, 0, 0]) > 0
    assert done.opset == 20


def test_hash_ignores_order_and_layout_but_no_value() -> None:
    first, second = nn.Conv2d(3, 4, 3), nn.Linear(4, 4)
    network, other = nn.ModuleDict({"a": first, "b": second}), nn.ModuleDict({"b": second, "a": first})
    assert list(network.state_dict()) != list(other.state_dict())
    before = state_sha256(network)
    assert state_sha256(other) == before
    first.weight.data = first.weight.data.to(memory_format=torch.channels_last)
    assert state_sha256(network) == before
    second.bias.data[0] += 1e-6
    assert state_sha256(network) != before
    assert state_sha256(nn.ModuleDict({"a": first, "c": second})) != state_sha256(network)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vargnet", "mobilefacenet"])
def test_the_students_themselves(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = VarGNet([40, 80, 160, 296], [3, 7, 4]) if name == "vargnet" else MobileFaceNet()
    network.eval()
    metadata = describe(network, network.embedding_dim, Preprocessing(), "run", "distill 0")
    done = export_onnx(network, tmp_path / "student.onnx", metadata, opset=18)
    assert done.bytes < 20_000_000
    parity(network, done.path, random_images(7)).require(max_relative=1e-4, max_cosine=1e-6)
