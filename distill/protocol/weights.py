"""What an ONNX file stores: tensors, their types, and every file that has to ship with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx import GraphProto, ModelProto, NodeProto, TensorProto
from onnx.external_data_helper import load_external_data_for_tensor

from distill.files.network_file import external_tensors, locate
from distill.protocol.graph import all_graphs, constant_names, dtype_name

NARROW_INTEGERS = ("int8", "uint8", "int4", "uint4", "int2", "uint2")
TO_FLOAT = ("Cast", "CastLike", "DequantizeLinear")


@dataclass(frozen=True)
class Stored:
    """One tensor in the file: an initialiser or the value of an attribute."""

    name: str
    dtype: str
    elements: int

    @property
    def floating(self) -> bool:
        return self.dtype.startswith(("float", "bfloat", "complex"))


@dataclass(frozen=True)
class ShippedWeights:
    """The weights that ship.

    A weight is a stored floating-point tensor of any kind (batch-norm statistics, biases, slopes and Clip bounds
    included, used or not), an integer tensor of 8 bits or fewer, or an integer tensor of more than one element that
    the graph turns into floating point. Other integers are shapes and indices. ``parameters`` counts the elements.
    """

    parameters: int
    elements_by_dtype: Mapping[str, int]

    @property
    def dtype(self) -> str | None:
        """The one type of all weights, or all the types that occur; None for a file without weights."""
        return ", ".join(sorted(self.elements_by_dtype)) or None


def weights(model: ModelProto) -> ShippedWeights:
    """Count the stored weights by type, in the main graph, subgraphs and functions."""
    cast = _cast_to_float(model.graph)
    kept = [t for t in _stored(model) if _is_weight(t, t.name in cast)]
    by_dtype: Counter[str] = Counter()
    for tensor in kept:
        by_dtype[tensor.dtype] += tensor.elements
    return ShippedWeights(sum(by_dtype.values()), dict(by_dtype))


def external_files(model: ModelProto, path: Path) -> tuple[list[Path], list[str]]:
    """The external data files that exist inside the model's folder, and a reason for every one that does not."""
    found: dict[Path, None] = {}
    problems: dict[str, None] = {}
    for tensor in external_tensors(model):
        file, problem = locate(tensor, path)
        if problem is None:
            found[file] = None
        else:
            problems[problem] = None
    return list(found), list(problems)


def with_small_integers(model: ModelProto, path: Path) -> ModelProto:
    """The model with its external integer tensors (shapes, axes) read into it: shape inference needs their values."""
    if next(external_tensors(model), None) is None:
        return model
    filled = ModelProto()
    filled.CopyFrom(model)
    for tensor in external_tensors(filled):
        if tensor.data_type in (TensorProto.INT64, TensorProto.INT32):
            load_external_data_for_tensor(tensor, str(path.parent))
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]
    return filled


def _is_weight(tensor: Stored, cast: bool) -> bool:
    return tensor.floating or tensor.dtype in NARROW_INTEGERS or (cast and tensor.elements > 1)


def _cast_to_float(graph: GraphProto) -> set[str]:
    """Constant tensors from which a constant Cast or DequantizeLinear is computed."""
    constants = constant_names(graph)
    wanted: set[str] = set()
    for node in reversed(graph.node):
        start = node.op_type in TO_FLOAT and node.input[0] in constants
        if start or any(name in wanted for name in node.output):
            wanted.update(name for name in node.input if name in constants)
            wanted.update(node.output)
    return wanted


def _graphs(model: ModelProto) -> Iterator[GraphProto]:
    yield from all_graphs(model.graph)
    for info in model.training_info:
        yield from all_graphs(info.initialization)
        yield from all_graphs(info.algorithm)
    for function in model.functions:
        yield from all_graphs(GraphProto(node=function.node))


def _attribute_tensors(node: NodeProto) -> Iterator[TensorProto]:
    for attribute in node.attribute:
        yield from attribute.tensors
        yield from (sparse.values for sparse in attribute.sparse_tensors)
        if attribute.HasField("t"):
            yield attribute.t
        if attribute.HasField("sparse_tensor"):
            yield attribute.sparse_tensor.values


def _stored(model: ModelProto) -> Iterator[Stored]:
    for graph in _graphs(model):
        for tensor in (*graph.initializer, *(s.values for s in graph.sparse_initializer)):
            yield _stored_tensor(tensor, tensor.name)
        for node in graph.node:
            name = next(iter(node.output), "")
            yield from (_stored_tensor(tensor, name) for tensor in _attribute_tensors(node))
            yield from _stored_numbers(node, name)


def _stored_tensor(tensor: TensorProto, name: str) -> Stored:
    return Stored(name, dtype_name(tensor.data_type), _product(tensor.dims))


def _stored_numbers(node: NodeProto, name: str) -> Iterator[Stored]:
    """Constants that are written as plain numbers instead of a tensor."""
    for attribute in node.attribute if node.op_type == "Constant" else ():
        if attribute.name in ("value_float", "value_floats"):
            yield Stored(name, "float32", len(attribute.floats) or 1)
        elif attribute.name in ("value_int", "value_ints"):
            yield Stored(name, "int64", len(attribute.ints) or 1)


def _product(dims: Sequence[int]) -> int:
    total = 1
    for dim in dims:
        total *= dim
    return total
