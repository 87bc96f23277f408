from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from distill.errors import UserError
from distill.files.network_file import NetworkFile
from distill.protocol.limits import Protocol
from distill.protocol.verdict import judge

LIGHT = Protocol("light", 10**9, 20_000_000, "float32", 512, 1e-8, "image", "test")
KEYS = {"verdict", "reasons", "flops", "macs", "parameters", "bytes", "dtype", "embedding_dim", "protocol"}


def test_a_small_network_passes(embedder):
    path = embedder()
    verdict = judge(NetworkFile(path), LIGHT)
    found = verdict.to_json()
    assert verdict.passed
    assert found["verdict"] == "pass"
    assert found["reasons"] == []
    assert found["flops"] == (2 * 27 - 1) * 8 * 56 * 56 + 2 * 8 * 512
    assert found["bytes"] == path.stat().st_size
    assert (found["dtype"], found["embedding_dim"], found["protocol"]) == ("float32", 512, "light")
    assert set(found) >= KEYS
    assert json.loads(json.dumps(found, allow_nan=False))["files"] == {"model.onnx": path.stat().st_size}


def test_limits_are_at_most_and_under(embedder):
    path = embedder()
    flops, size = judge(NetworkFile(path), LIGHT).cost.flops, path.stat().st_size
    assert flops is not None
    assert judge(NetworkFile(path), replace(LIGHT, max_flops=flops, max_file_bytes=size + 1)).passed
    assert "counter-FLOPs; at most" in judge(NetworkFile(path), replace(LIGHT, max_flops=flops - 1)).reasons[0]
    assert "bytes that ship; fewer than" in judge(NetworkFile(path), replace(LIGHT, max_file_bytes=size)).reasons[0]
    assert judge(NetworkFile(path), replace(LIGHT, max_file_bytes=None)).passed


def test_external_data_ships_too(embedder, tmp_path):
    path = embedder()
    onnx.save(onnx.load(str(path)), str(path), save_as_external_data=True, location="data.bin", size_threshold=0)
    total = path.stat().st_size + (tmp_path / "data.bin").stat().st_size
    assert judge(NetworkFile(path), LIGHT).bytes == total
    assert not judge(NetworkFile(path), replace(LIGHT, max_file_bytes=total)).passed
    (tmp_path / "data.bin").unlink()
    verdict = judge(NetworkFile(path), LIGHT)
    assert verdict.bytes is None
    assert verdict.reasons == ("external data 'data.bin' is missing beside the model",)


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        ({"width": 256}, ["output 'y' is 1x256 for one image; expected 1x512"]),
        ({"input_shape": ["n", 3, 96, 96]}, ["input 'x' is 1x3x96x96; the protocol counts at 1x3x112x112"]),
        ({"input_shape": ["n", 3, "h", "w"]}, ["input 'x' has a dynamic spatial size; export it with a fixed one"]),
        (
            {"dtype": np.float16, "elem_type": TensorProto.FLOAT16},
            [
                "weights are float16; expected all in float32",
                "input 'x' is float16; expected float32",
                "output 'y' is float16; expected float32",
            ],
        ),
    ],
)
def test_every_other_limit_has_its_reason(embedder, options, reasons):
    verdict = judge(NetworkFile(embedder(**options)), LIGHT)
    assert list(verdict.reasons) == reasons
    assert verdict.to_json()["verdict"] == "fail"


def test_what_cannot_be_counted_fails_with_null(save):
    verdict = judge(NetworkFile(save([helper.make_node("Fancy", ["x"], ["y"], domain="my.ops")])), LIGHT)
    found = verdict.to_json()
    assert not verdict.passed
    assert "my.ops::Fancy" in verdict.reasons[0]
    assert found["flops"] is found["macs"] is found["embedding_dim"] is None
    assert json.dumps(found)
    assert dict((name, value) for name, value, _ in verdict.rows())["MACs"] == "cannot be counted"


def test_a_batch_that_is_built_into_the_graph_fails(save):
    nodes = [helper.make_node("Reshape", ["x", "target"], ["y"])]
    stored = {"target": np.array([4, -1]), "w": np.ones(1, np.float32)}
    verdict = judge(NetworkFile(save(nodes, stored, [4, 3, 112, 112])), LIGHT)
    assert any("output 'y' is 4x9408 for one image" in reason for reason in verdict.reasons)


def test_several_outputs_or_inputs_fail(save):
    path = save([helper.make_node("Relu", ["x"], ["y"])], {"w": np.ones(1, np.float32)}, ["n", 512])
    model = onnx.load(str(path))
    model.graph.output.append(model.graph.output[0])
    model.graph.output[1].name = "x"
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]))
    onnx.save(model, str(path))
    reasons = " | ".join(judge(NetworkFile(path), LIGHT).reasons)
    assert "2 inputs (x, z); expected one" in reasons
    assert "2 outputs (y, x); expected one" in reasons


def test_a_file_without_weights_fails(save):
    verdict = judge(NetworkFile(save([helper.make_node("Flatten", ["x"], ["y"])])), LIGHT)
    assert "weights are missing; expected all in float32" in verdict.reasons


def test_reference_teacher_fails_for_its_width_alone(faces_root):
    verdict = judge(NetworkFile(faces_root / "reference_teacher.onnx"), LIGHT)
    assert verdict.reasons == ("output 'output' is 1x128 for one image; expected 1x512",)
    assert verdict.weights.parameters == 990_016


def test_rows_show_every_quantity_with_its_limit(embedder):
    rows = {name: (value, limit) for name, value, limit in judge(NetworkFile(embedder()), LIGHT).rows()}
    assert rows["counter-FLOPs"][1] == "at most 1,000,000,000"
    assert "MB" in rows["bytes that ship"][0]
    assert "MiB" in rows["bytes that ship"][0]
    assert rows["input"] == ("float32 1x3x112x112", "float32 1x3x112x112")
    assert rows["embedding width"] == ("512", "512")


def test_a_file_that_is_not_onnx_is_an_error_not_a_verdict(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"no")
    with pytest.raises(UserError, match=r"m\.onnx"):
        judge(NetworkFile(tmp_path / "m.onnx"), LIGHT)


def test_of_two_outputs_none_is_the_embedding(embedder):
    path = embedder()
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["batch", 8]))
    onnx.save(model, path)
    verdict = judge(NetworkFile(path), LIGHT)
    assert verdict.embedding_dim is None
    assert not verdict.passed
