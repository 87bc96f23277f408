from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from distill.files.network_file import NetworkFile
from distill.protocol.weights import external_files, weights


def with_external_data(path, location="weights.bin"):
    """Move the weights of a saved file into a data file beside it."""
    model = onnx.load(str(path))
    onnx.save(model, str(path), save_as_external_data=True, location=location, size_threshold=0)
    return path


def test_parameters_are_the_stored_floats(embedder):
    assert weights(NetworkFile(embedder()).model).parameters == 8 * 27 + 8 * 512 + 512
    assert weights(NetworkFile(embedder()).model).dtype == "float32"


def test_shapes_and_indices_are_no_weights(save):
    nodes = [
        helper.make_node("Constant", [], ["axes"], value_ints=[2, 3]),
        helper.make_node("ReduceMean", ["x", "axes"], ["pooled"], keepdims=0),
        helper.make_node("Reshape", ["pooled", "target"], ["y"]),
    ]
    found = weights(NetworkFile(save(nodes, {"target": np.array([-1, 3])})).model)
    assert found.parameters == 0
    assert found.dtype is None


def test_weights_in_constant_nodes_and_unused_ones_ship(save):
    value = helper.make_tensor("v", TensorProto.FLOAT, [3, 1, 1], [1.0, 2.0, 3.0])
    nodes = [
        helper.make_node("Constant", [], ["scale"], value=value),
        helper.make_node("Constant", [], ["limit"], value_float=6.0),
        helper.make_node("Mul", ["x", "scale"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "", "limit"], ["y"]),
    ]
    assert weights(NetworkFile(save(nodes, {"unused": np.zeros(10, np.float32)})).model).parameters == 3 + 1 + 10


@pytest.mark.parametrize(("dtype", "name"), [(np.float16, "float16"), (np.float64, "float64")])
def test_other_float_types_are_named(embedder, dtype, name):
    assert weights(NetworkFile(embedder(dtype=dtype)).model).dtype == name


def test_bfloat16_is_named(embedder):
    model = NetworkFile(embedder()).model
    model.graph.initializer[0].data_type = TensorProto.BFLOAT16
    assert weights(model).dtype == "bfloat16, float32"


def test_quantised_weights_are_weights(save):
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scale"], ["w"]),
        helper.make_node("Transpose", ["w"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("Conv", ["x", "t"], ["y"]),
    ]
    found = weights(NetworkFile(save(nodes, {"q": np.ones((8, 3, 3, 3), np.int8), "scale": np.float32(0.1)})).model)
    assert found.dtype == "float32, int8"
    assert found.elements_by_dtype == {"float32": 1, "int8": 8 * 27}


@pytest.mark.parametrize(
    ("dtype", "name"), [(np.int64, "int64"), (np.int32, "int32"), (np.uint16, "uint16"), (np.bool_, "bool")]
)
def test_integers_that_become_floats_are_weights(save, dtype, name):
    nodes = [
        helper.make_node("Reshape", ["q", "target"], ["r"]),
        helper.make_node("Cast", ["r"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "w"], ["y"]),
    ]
    stored = {"q": np.ones((8, 27), dtype), "target": np.array([8, 3, 3, 3])}
    assert weights(NetworkFile(save(nodes, stored)).model).elements_by_dtype[name] >= 8 * 27


def test_weights_in_subgraphs_are_found(save):
    value = helper.make_tensor("v", TensorProto.FLOAT16, [2], [1.0, 2.0])
    branch = helper.make_graph([helper.make_node("Constant", [], ["out"], value=value)], "b", [], [])
    node = helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch)
    found = weights(NetworkFile(save([node], {"flag": np.array(True)})).model)
    assert found.elements_by_dtype == {"float16": 4}


def test_external_files_are_found_once(embedder, tmp_path):
    path = with_external_data(embedder())
    assert external_files(NetworkFile(path).model, path) == ([tmp_path.resolve() / "weights.bin"], [])


def test_missing_and_cut_off_external_files(embedder, tmp_path):
    path = with_external_data(embedder())
    data = tmp_path / "weights.bin"
    data.write_bytes(data.read_bytes()[:-1])
    assert "is cut off" in external_files(NetworkFile(path).model, path)[1][0]
    data.unlink()
    assert external_files(NetworkFile(path).model, path)[1] == [
        "external data 'weights.bin' is missing beside the model"
    ]


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "a/../../weights.bin", ""])
def test_external_files_outside_the_folder(embedder, location):
    path = with_external_data(embedder())
    model = NetworkFile(path).model
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    assert external_files(model, path)[1] == [f"external data '{location}' lies outside the model's folder"]


def test_a_link_out_of_the_folder_is_outside(embedder, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    path = with_external_data(embedder(file="model/m.onnx"))
    (folder / "weights.bin").rename(tmp_path / "elsewhere.bin")
    (folder / "weights.bin").symlink_to(tmp_path / "elsewhere.bin")
    assert "outside" in external_files(NetworkFile(path).model, path)[1][0]


def test_nonsense_offsets_are_a_reason(embedder):
    path = with_external_data(embedder())
    model = NetworkFile(path).model
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "offset":
            entry.value = "-1"
    assert "expected numbers" in external_files(model, path)[1][0]
