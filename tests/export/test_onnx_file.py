from __future__ import annotations

import copy
import json
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, numpy_helper
from onnxscript import ir
from torch import Tensor, nn
from torch.onnx import ONNXProgram

from distill.errors import UserError
from distill.export import onnx_file
from distill.export.onnx_file import Exported, describe, export_onnx, state_sha256
from distill.export.parity import parity, random_images
from distill.students.mobilefacenet import MobileFaceNet
from distill.students.vargnet import VarGNet
from distill.types import Preprocessing
from reference.exported_student import lived_in
from reference.remembered_exports import remembered


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


def test_a_network_too_large_for_one_file_is_refused_before_it_is_traced(tmp_path: Path) -> None:
    with torch.device("meta"):
        network = nn.Linear(25_000, 25_000)
    with pytest.raises(UserError, match=r"2,500,100,000 bytes of weights; an ONNX file holds at most 2,147,483,647"):
        export_onnx(network, tmp_path / "large.onnx", {}, 18)


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


class Roundabout(nn.Module):
    """Two layers, and two steps between them and the output that undo each other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3, 8, 1), nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).mean((2, 3))).unsqueeze(2).squeeze(2)


@pytest.fixture(scope="module")
def plain() -> ModelProto:
    """What the exporter makes of it."""
    torch.manual_seed(3)
    return onnx_file._export(Roundabout().eval(), 18)


@pytest.fixture
def roundabout(plain: ModelProto, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """The network, whose export takes no time."""
    torch.manual_seed(3)
    monkeypatch.setattr(onnx_file, "_export", lambda *_: copy.deepcopy(plain))
    return Roundabout().eval()


def test_what_computes_nothing_is_simplified_away(plain: ModelProto, roundabout: nn.Module, tmp_path: Path) -> None:
    done = export_onnx(roundabout, tmp_path / "simple.onnx", {}, opset=18)
    kinds = [[node.op_type for node in model.graph.node] for model in (plain, onnx.load(done.path))]
    assert kinds == [["Conv", "ReduceMean", "Gemm", "Unsqueeze", "Squeeze"], ["Conv", "ReduceMean", "Gemm"]]
    assert (done.simplified, done.nodes) == (True, 3)
    parity(roundabout, done.path, random_images(7)).require(max_relative=1e-5, max_cosine=1e-9)


def test_tests_trace_again_whatever_computes_something_else() -> None:
    """Of ``traced_once``, which every test lives with."""
    graphs: list[nn.Module] = []

    def export(network: nn.Module, *args: object, **options: object) -> ONNXProgram:
        graphs.append(network)
        return ONNXProgram(ir.Model(ir.Graph([], [], nodes=[]), ir_version=10), None)

    look_up, first = remembered(export), nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)).eval()
    for network in (first, copy.deepcopy(first)):
        look_up(network, dynamo=True, opset_version=18)
    assert graphs == [first]
    hooked = copy.deepcopy(first)
    hooked.register_forward_hook(lambda *_: None)
    for network in (nn.Sequential(nn.ReLU(), nn.MaxPool2d(3)).eval(), nn.Sequential(first), hooked):
        look_up(network, dynamo=True, opset_version=18)
    look_up(first, dynamo=True, opset_version=19)
    look_up(first)
    assert len(graphs) == 6


@pytest.mark.slow
def test_a_graph_with_other_weights_is_the_export_of_a_network_with_them(network: nn.Module) -> None:
    """Of ``traced_once``: but for names it gives what torch's own export gives."""
    another = lived_in(copy.deepcopy(network), seed=7).to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    found = onnx_file._export(another, 18).graph
    hook = another.register_forward_hook(lambda *_: None)  # is not remembered
    expected = onnx_file._export(another, 18).graph
    hook.remove()
    assert [node.op_type for node in found.node] == [node.op_type for node in expected.node]
    assert sorted(t.raw_data for t in found.initializer) == sorted(t.raw_data for t in expected.initializer)


def _off_by(share: float, model: ModelProto) -> ModelProto:
    """The same graph with the last layer's bias moved by a share of the largest output."""
    (bias,) = (t for t in model.graph.initializer if list(t.dims) == [6])
    output = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"images": random_images(2).numpy()})[0]
    bias.CopyFrom(
        numpy_helper.from_array(numpy_helper.to_array(bias) + share * abs(np.asarray(output)).max(), bias.name)
    )
    return model


def _turned(model: ModelProto) -> ModelProto:
    """Another first layer, whose bias is the same: only an image that is not empty shows it."""
    (weight,) = (t for t in model.graph.initializer if len(t.dims) == 4)
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.5), weight.name))
    return model


def _broken(model: ModelProto) -> ModelProto:
    model.graph.node[0].op_type = "Unheard"
    return model


@pytest.mark.parametrize(
    ("spoil", "valid"),
    [
        (partial(_off_by, 1e-2), True),
        (partial(_off_by, 2e-5), True),
        (partial(_off_by, 5e-6), True),
        (_turned, True),
        (partial(_off_by, 0.0), False),
        (_broken, True),
    ],
    ids=["far off", "off", "less precise", "other weights", "said to be wrong", "no model"],
)
def test_a_simplification_that_computes_worse_is_left_out(
    plain: ModelProto, roundabout: nn.Module, tmp_path: Path, monkeypatch, spoil, valid: bool
) -> None:
    simplify = onnx_file.onnxsim.simplify
    monkeypatch.setattr(onnx_file.onnxsim, "simplify", lambda model: (spoil(simplify(model)[0]), valid))
    done = export_onnx(roundabout, tmp_path / "plain.onnx", {}, opset=18)
    assert (done.simplified, done.nodes) == (False, len(plain.graph.node))
    parity(roundabout, done.path, random_images(7)).require(max_relative=2e-6, max_cosine=1e-9)


def test_a_simplification_that_differs_by_rounding_is_kept(roundabout: nn.Module, tmp_path: Path, monkeypatch) -> None:
    simplify = onnx_file.onnxsim.simplify
    monkeypatch.setattr(onnx_file.onnxsim, "simplify", lambda model: (_off_by(1e-7, simplify(model)[0]), True))
    assert export_onnx(roundabout, tmp_path / "simple.onnx", {}, opset=18).simplified


@pytest.mark.parametrize("end", ["input", "output"])
def test_a_file_of_a_fixed_batch_does_not_leave(plain: ModelProto, end: str) -> None:
    model = copy.deepcopy(plain)
    getattr(model.graph, end)[0].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(AssertionError, match=f"the batch of '{'images' if end == 'input' else 'embedding'}' is fixed"):
        onnx_file._check(model, 18)


def test_a_file_with_norms_to_fold_does_not_leave(plain: ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx_file._check(plain, 18)
    monkeypatch.setattr(onnx_file, "foldable_norms", lambda model: ["norm"])
    with pytest.raises(AssertionError, match="batch norms left to fold: "):
        onnx_file._check(plain, 18)


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
