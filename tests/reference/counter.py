"""An independent counter: runs the network with onnxruntime and looks at the tensors that really come out.

It shares nothing with the real counter: shapes are those of an execution, not of inference, and the formulas are
written layer by layer over the groups.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime


def count(path: Path) -> tuple[int, int]:
    """(counter-FLOPs, MACs) of an ONNX file with one image input, for Conv, Gemm and Resize of maps [b c h w]."""
    model = onnx.load(str(path))
    shapes = _executed_shapes(model)
    flops = macs = 0
    for node in model.graph.node:
        options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Conv":
            _, cout, *size = shapes[node.output[0]]
            _, group_in, *kernel = shapes[node.input[1]]
            groups = options.get("group", 1)
            layer_macs = 0
            for _ in range(groups):
                layer_macs += group_in * int(np.prod(kernel)) * (cout // groups) * int(np.prod(size))
            saved = 0 if len(node.input) == 3 else cout * int(np.prod(size)) / groups
            macs += layer_macs
            flops += int(2 * layer_macs - saved)
        elif node.op_type == "Gemm":
            rows, outputs = shapes[node.output[0]]
            inputs = shapes[node.input[0]][1]
            assert rows == 1
            macs += inputs * outputs
            flops += 2 * inputs * outputs - (0 if len(node.input) == 3 else outputs)
        elif node.op_type == "Resize" and options.get("mode", b"nearest") != b"nearest":
            rows = columns = {b"linear": 2, b"cubic": 4}[options["mode"]]
            _, channels, height, width = shapes[node.output[0]]
            for _ in range(channels * height):  # a weighted sum of rows x columns pixels for each one
                macs += rows * columns * width
                flops += (rows * columns + rows * columns - 1) * width
    return flops, macs


def _executed_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    wanted = [n.output[0] for n in model.graph.node if n.op_type in ("Conv", "Gemm", "Resize")]
    wanted += [n.input[0] for n in model.graph.node if n.op_type == "Gemm"]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(wanted))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: np.zeros((1, 3, 112, 112), np.float32)}
    names = [output.name for output in session.get_outputs()]
    shapes = {name: np.asarray(value).shape for name, value in zip(names, session.run(names, feed), strict=True)}
    stored = {t.name: tuple(t.dims) for t in model.graph.initializer}
    constants = {
        n.output[0]: tuple(n.attribute[0].t.dims)
        for n in model.graph.node
        if n.op_type == "Constant" and n.attribute[0].name == "value"
    }
    return {**stored, **constants, **shapes}
