"""An ONNX file as a graph whose shapes are all known at batch size 1.

What cannot be known statically raises ``Uncountable``: the check is fail-closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, shape_inference

from distill.files.utf8_path import utf8_path

Shape = tuple[int, ...]
STANDARD_DOMAINS = ("", "ai.onnx")
LONGEST_MESSAGE = 240  # characters of a third-party message that still make one readable line


class Uncountable(Exception):
    """The reason, in one line, why a file cannot be counted."""


def one_line(error: Exception) -> str:
    """The message of a third-party error on one line of bounded length."""
    text = " ".join(str(error).split())
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"


def dtype_name(elem_type: int) -> str:
    """``float32``, ``bfloat16``, ``int8``, …, or ``undefined``."""
    if elem_type not in TensorProto.DataType.values():
        return f"unknown type {elem_type}"
    name = TensorProto.DataType.Name(elem_type).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def graphs_of(attribute: AttributeProto) -> list[GraphProto]:
    """The subgraphs that one attribute holds."""
    return [*attribute.graphs, *([attribute.g] if attribute.type == AttributeProto.GRAPH else [])]


def all_graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph and every graph inside it, at any depth."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in graphs_of(attribute):
                yield from all_graphs(inner)


def true_inputs(graph: GraphProto) -> list[ValueInfoProto]:
    """The inputs that a caller feeds: IR versions below 4 list the initialisers among the inputs too."""
    stored = {tensor.name for tensor in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in stored]


def constant_names(graph: GraphProto) -> frozenset[str]:
    """Tensors whose value does not depend on the input: stored ones and all that is computed from them only."""
    names = {tensor.name for tensor in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
    for node in graph.node:
        if all(name in names for name in node.input if name):
            names.update(node.output)
    return frozenset(names)


@dataclass(frozen=True)
class Graph:
    """Nodes, static shapes at batch 1, and which tensors are constant."""

    model: ModelProto
    shapes: Mapping[str, Shape]
    constants: frozenset[str]

    @property
    def nodes(self) -> list[NodeProto]:
        return list(self.model.graph.node)

    def shape(self, name: str, node: NodeProto) -> Shape:
        """Static shape of a tensor of ``node``."""
        if name not in self.shapes:
            raise Uncountable(f"{label(node)}: the shape of '{name}' is dynamic or cannot be inferred")
        return self.shapes[name]


def label(node: NodeProto) -> str:
    """How a node is called in a message."""
    return f"{node.op_type} '{node.name or next(iter(node.output), '')}'"


def with_shapes(model: ModelProto, path: Path) -> Graph:
    """Check the graph and infer every shape at batch 1; what the file itself claims of inner shapes is ignored."""
    start = _at_batch_one(model)
    try:
        with utf8_path(path) as text:
            onnx.checker.check_model(text)
        inferred = shape_inference.infer_shapes(start, check_type=True, strict_mode=True, data_prop=True)
    except onnx.checker.ValidationError as error:
        raise Uncountable(f"not a valid ONNX graph: {one_line(error)}") from error
    except shape_inference.InferenceError as error:
        raise Uncountable(f"shapes cannot be inferred: {one_line(error)}") from error
    graph = inferred.graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if (shape := static_shape(value)) is not None:
            shapes[value.name] = shape
    for name, shape in shapes.items():
        if any(dim < 0 for dim in shape):
            raise Uncountable(f"'{name}' has the impossible shape {list(shape)}")
    return Graph(model, shapes, constant_names(model.graph))


def static_shape(value: ValueInfoProto) -> Shape | None:
    """The shape of a graph value, or None if it is unknown or holds a dynamic dimension."""
    if not value.type.tensor_type.HasField("shape"):
        return None
    dims = value.type.tensor_type.shape.dim
    return tuple(d.dim_value for d in dims) if all(d.HasField("dim_value") for d in dims) else None


def _at_batch_one(model: ModelProto) -> ModelProto:
    """A copy with batch 1 at the inputs and without the shapes that the file claims of anything else."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for value in true_inputs(copy.graph):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_value = 1
        if static_shape(value) is None:
            raise Uncountable(f"input '{value.name}' has a dynamic spatial size; export it with a fixed one")
    del copy.graph.value_info[:]
    for output in copy.graph.output:
        output.type.tensor_type.ClearField("shape")
    return copy
