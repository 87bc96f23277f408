from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """A function that writes a one-input, one-output ONNX file of the given nodes and stored arrays."""

    def write(
        nodes: Sequence[onnx.NodeProto],
        stored: dict[str, np.ndarray[Any, Any]] | None = None,
        input_shape: Sequence[int | str] = ("batch", 3, 112, 112),
        elem_type: int = TensorProto.FLOAT,
        file: str = "model.onnx",
        opset: int = 20,
    ) -> Path:
        graph = helper.make_graph(
            list(nodes),
            "test",
            [helper.make_tensor_value_info("x", elem_type, input_shape)],
            [helper.make_tensor_value_info("y", elem_type, None)],
            [numpy_helper.from_array(array, name) for name, array in (stored or {}).items()],
        )
        domains = {"": opset} | {node.domain: 1 for node in nodes if node.domain}
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid(*entry) for entry in domains.items()], ir_version=10
        )
        output = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output[0]
        output.type.tensor_type.shape.SetInParent()  # the standard wants one; a scalar where it cannot be inferred
        model.graph.output[0].CopyFrom(output)
        onnx.save(model, str(tmp_path / file))
        return tmp_path / file

    return write


@pytest.fixture
def embedder(save: Save) -> Save:
    """Writes a tiny network that satisfies the light protocol: convolution, pooling, dense layer."""

    def write(width: int = 512, dtype: type = np.float32, **options: Any) -> Path:
        nodes = [
            helper.make_node("Conv", ["x", "kernel"], ["map"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "dense", "bias"], ["y"]),
        ]
        shapes = {"kernel": (8, 3, 3, 3), "dense": (8, width), "bias": (width,)}
        stored = {name: np.full(shape, 0.5, dtype=dtype) for name, shape in shapes.items()}
        return save(nodes, stored, **options)

    return write
