"""An ONNX graph after the exporter: what it has left to fold, what it need not carry, weights that are too small."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, numpy_helper

WEIGHTED = {"Conv", "ConvTranspose", "Gemm"}
"""Operators with a constant weight that a batch norm right behind them can be folded into."""


def foldable_norms(model: ModelProto) -> list[str]:
    """Names of the batch norms whose input is a layer's output without another consumer."""
    makers = {out: node for node in model.graph.node for out in node.output}
    readers = [name for node in model.graph.node for name in node.input] + [out.name for out in model.graph.output]
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "BatchNormalization"
        and (maker := makers.get(node.input[0])) is not None
        and maker.op_type in WEIGHTED
        and readers.count(node.input[0]) == 1
    ]


def flush_denormals(model: ModelProto) -> int:
    """Set float32 weights below the normal range to zero, in place, and count them.

    Distillation can leave such weights in dead channels, and some engines compute with them many times slower.
    """
    count = 0
    for tensor in model.graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.dtype != np.float32:
            continue
        denormal = (weights != 0) & (np.abs(weights) < np.finfo(np.float32).tiny)
        if denormal.any():
            count += int(denormal.sum())
            tensor.CopyFrom(numpy_helper.from_array(np.where(denormal, np.float32(0), weights), tensor.name))
    return count


def strip(model: ModelProto) -> None:
    """Drop the stack traces, Python names and intermediate shapes: 300 kB of a 20 MB budget."""
    graph = model.graph
    del graph.value_info[:], graph.metadata_props[:]
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
