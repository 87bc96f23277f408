from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from distill.errors import UserError
from distill.files.network_file import NetworkFile
from distill.protocol.graph import Uncountable, dtype_name, one_line, true_inputs, with_shapes


def test_dynamic_and_fixed_batch_give_the_same_shapes(embedder):
    for shape in (["batch", 3, 112, 112], [None, 3, 112, 112], [1, 3, 112, 112], [8, 3, 112, 112]):
        path = embedder(input_shape=shape)
        shapes = with_shapes(NetworkFile(path).model, path).shapes
        assert shapes["map"] == (1, 8, 56, 56)
        assert shapes["y"] == (1, 512)


def test_shapes_that_the_file_claims_are_not_believed(embedder):
    path = embedder()
    model = onnx.load(str(path))
    model.graph.value_info.append(helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, 8, 2, 2]))
    onnx.save(model, str(path))
    assert with_shapes(model, path).shapes["map"] == (1, 8, 56, 56)


def test_reshape_computed_from_the_input_shape_is_followed(save):
    nodes = [
        helper.make_node("Shape", ["x"], ["s"], end=1),
        helper.make_node("Constant", [], ["rest"], value_ints=[-1]),
        helper.make_node("Concat", ["s", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    path = save(nodes)
    assert with_shapes(NetworkFile(path).model, path).shapes["y"] == (1, 3 * 112 * 112)


@pytest.mark.parametrize("shape", [["b", 3, "h", "w"], ["b", 3, 112, None], ["b", "c", 112, 112]])
def test_dynamic_spatial_size_is_named(embedder, shape):
    path = embedder(input_shape=shape)
    with pytest.raises(Uncountable, match="input 'x' has a dynamic spatial size"):
        with_shapes(NetworkFile(path).model, path)


def test_input_without_a_shape_is_dynamic(embedder):
    path = embedder()
    model = NetworkFile(path).model
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(Uncountable, match="dynamic"):
        with_shapes(model, path)


def test_contradicting_shapes_and_invalid_graphs(save):
    path = save([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.zeros((5, 8), np.float32)}, opset=20)
    with pytest.raises(Uncountable, match="shapes cannot be inferred"):
        with_shapes(NetworkFile(path).model, path)
    path = save([helper.make_node("Relu", ["nowhere"], ["y"])])
    with pytest.raises(Uncountable, match="not a valid ONNX graph"):
        with_shapes(NetworkFile(path).model, path)


def test_a_negative_size_is_damage(save):
    path = save([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": np.zeros((8, 3, 1, 1), np.float32)})
    model = NetworkFile(path).model
    model.graph.initializer[0].dims[0] = -8
    with pytest.raises(Uncountable, match="impossible shape"):
        with_shapes(model, path)


def test_files_that_are_not_onnx(tmp_path: Path, embedder):
    whole = embedder().read_bytes()
    for name, content in {
        "cut.onnx": whole[: len(whole) // 2],
        "empty.onnx": b"",
        "text.onnx": b"hello\n" * 50,
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name) as caught:
            _ = NetworkFile(tmp_path / name).model
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="cannot be read"):
        _ = NetworkFile(tmp_path / "missing.onnx").model
    with pytest.raises(UserError, match="is not an ONNX file, but a folder"):
        _ = NetworkFile(tmp_path).model


def test_a_name_that_is_not_text_is_damage(tmp_path: Path, embedder):
    damaged = embedder().read_bytes().replace(b"kernel", b"ker\xffel")
    (tmp_path / "damaged.onnx").write_bytes(damaged)
    with pytest.raises(UserError, match="is not text"):
        _ = NetworkFile(tmp_path / "damaged.onnx").model


def test_a_file_cut_anywhere_is_an_error(tmp_path: Path, embedder):
    whole = embedder().read_bytes()
    for length in range(0, len(whole) - 8, 97):  # the opset comes last, so no shorter file is complete
        (tmp_path / "cut.onnx").write_bytes(whole[:length])
        with pytest.raises(UserError):
            _ = NetworkFile(tmp_path / "cut.onnx").model


def test_initialisers_among_the_inputs_are_not_fed(embedder):
    model = NetworkFile(embedder()).model
    model.graph.input.append(helper.make_tensor_value_info("kernel", TensorProto.FLOAT, [8, 3, 3, 3]))
    assert [value.name for value in true_inputs(model.graph)] == ["x"]


def test_dtype_names():
    names = [dtype_name(t) for t in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.BFLOAT16, TensorProto.INT8, 0)]
    assert names == ["float32", "float64", "bfloat16", "int8", "undefined"]
    assert dtype_name(9999) == "unknown type 9999"


def test_messages_of_others_become_one_bounded_line():
    text = one_line(ValueError("a\nb\n" + "c" * 1000))
    assert text.startswith("a b c")
    assert "\n" not in text
    assert len(text) <= 240
