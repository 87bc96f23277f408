from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from distill.export.onnx_file import Exported
from distill.export.onnx_graph import flush_denormals, foldable_norms, strip

GRAPH = """<ir_version: 8, opset_import: ["" : 18]>
g (float[N,2,4,4] x, float[2,2,1,1] w, float[2] s) => (float[N,2,4,4] y) {
  a = BatchNormalization (x, s, s, s, s)
  b = Conv (a, w)
  c = BatchNormalization (b, s, s, s, s)
  d = Conv (c, w)
  e = BatchNormalization (d, s, s, s, s)
  y = Add (d, e)
}"""


def test_which_norms_could_be_folded() -> None:
    model = onnx.parser.parse_model(GRAPH)
    for node in model.graph.node:
        node.name = node.output[0]
    assert foldable_norms(model) == ["c"]


def test_denormals_are_counted_and_become_zero() -> None:
    model = onnx.parser.parse_model(GRAPH)
    weights = np.array([1e-40, -1e-45, 0.0, 1.2e-38, -3.0], np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2]), "shape"))
    assert flush_denormals(model) == 2
    kept, shape = (numpy_helper.to_array(tensor) for tensor in model.graph.initializer)
    np.testing.assert_array_equal(kept, np.array([0, 0, 0, 1.2e-38, -3.0], np.float32))
    np.testing.assert_array_equal(shape, [1, 2])
    assert flush_denormals(model) == 0


def test_stripping_keeps_the_graph(exported: Exported) -> None:
    model = onnx.load(exported.path)
    twin = onnx.load(exported.path)
    for node in twin.graph.node:
        node.doc_string = "a stack trace"
        node.metadata_props.add(key="k", value="v")
    strip(twin)
    assert twin.SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)
