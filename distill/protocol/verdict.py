"""Does an ONNX file satisfy a protocol? Whatever cannot be counted, read or compared is a failure with a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from onnx import ValueInfoProto

from distill.files.network_file import NetworkFile
from distill.protocol.counter import Cost, measure
from distill.protocol.graph import Graph, Shape, dtype_name, static_shape, true_inputs
from distill.protocol.limits import Protocol
from distill.protocol.weights import ShippedWeights, external_files, weights
from distill.types import CROP_PX

INPUT_SHAPE = (1, 3, CROP_PX, CROP_PX)


@dataclass(frozen=True)
class Port:
    """An input or output: its name, type, and static shape at batch 1 (None if it is not static)."""

    name: str
    dtype: str
    shape: Shape | None


@dataclass(frozen=True)
class Verdict:
    """All that was measured of one file against one protocol."""

    protocol: Protocol
    cost: Cost
    weights: ShippedWeights
    files: Mapping[str, int]
    bytes: int | None
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    opset: Mapping[str, int]

    @property
    def reasons(self) -> tuple[str, ...]:
        """One line for each way in which the file fails; empty if it passes."""
        return tuple(_reasons(self))

    @property
    def passed(self) -> bool:
        return not self.reasons

    @property
    def embedding_dim(self) -> int | None:
        """Last dimension of the only output."""
        shape = self.outputs[0].shape if len(self.outputs) == 1 else None
        return shape[-1] if shape else None

    def to_json(self) -> dict[str, object]:
        """What ``check.json`` holds; None where it could not be counted."""
        limits = asdict(self.protocol)
        return {
            "verdict": "pass" if self.passed else "fail",
            "reasons": list(self.reasons),
            "protocol": limits.pop("name"),
            "limits": limits,
            "flops": self.cost.flops,
            "bias_flops": self.cost.bias_flops,
            "macs": self.cost.macs,
            "parameters": self.weights.parameters,
            "bytes": self.bytes,
            "mb": None if self.bytes is None else self.bytes / 1e6,
            "mib": None if self.bytes is None else self.bytes / 2**20,
            "files": dict(self.files),
            "dtype": self.weights.dtype,
            "weights_by_dtype": dict(self.weights.elements_by_dtype),
            "embedding_dim": self.embedding_dim,
            "inputs": [asdict(port) for port in self.inputs],
            "outputs": [asdict(port) for port in self.outputs],
            "opset": dict(self.opset),
            "operators": [asdict(operator) for operator in self.cost.operators],
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """(quantity, measured, limit) for a table; an empty limit means that none applies."""
        limit, width = self.protocol.max_file_bytes, self.protocol.embedding_dim
        return [
            ("counter-FLOPs", _number(self.cost.flops), f"at most {self.protocol.max_flops:,}"),
            ("of these for convolution biases", _number(self.cost.bias_flops), ""),
            ("MACs", _number(self.cost.macs), ""),
            ("parameters", _number(self.weights.parameters), ""),
            ("bytes that ship", _size(self.bytes), "none stated" if limit is None else f"under {limit:,}"),
            ("weights", self.weights.dtype or "none", self.protocol.dtype),
            ("input", _ports(self.inputs), f"{self.protocol.dtype} {_shape(INPUT_SHAPE)}"),
            ("output", _ports(self.outputs), f"{self.protocol.dtype} {_shape((1, width))}"),
            ("embedding width", _number(self.embedding_dim), str(width)),
        ]


def judge(file: NetworkFile, protocol: Protocol) -> Verdict:
    """Measure an ONNX file and compare it with the protocol; ``UserError`` if it is not an ONNX file at all."""
    model, path = file.model, file.path
    external, missing = external_files(model, path)
    stored = weights(model)
    files = {file.relative_to(path.parent.resolve()).as_posix(): file.stat().st_size for file in external}
    files = {path.name: path.stat().st_size, **files}
    measured, graph = measure(file)
    return Verdict(
        protocol=protocol,
        cost=measured,
        weights=stored,
        files=files,
        bytes=None if missing else sum(files.values()),
        inputs=tuple(_port(value, graph) for value in true_inputs(model.graph)),
        outputs=tuple(_port(value, graph) for value in model.graph.output),
        opset={entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
    )


def _port(value: ValueInfoProto, graph: Graph | None) -> Port:
    shape = static_shape(value) if graph is None else graph.shapes.get(value.name)
    return Port(value.name, dtype_name(value.type.tensor_type.elem_type), shape)


def _reasons(verdict: Verdict) -> Iterator[str]:
    yield from verdict.cost.problems
    yield from _over_limits(verdict)
    dtype, stored = verdict.protocol.dtype, verdict.weights.dtype
    if stored != dtype:
        yield f"weights are {stored or 'missing'}; expected all in {dtype}"
    yield from _wrong_ports("input", verdict.inputs, dtype)
    yield from _wrong_ports("output", verdict.outputs, dtype)
    if not verdict.cost.problems:
        yield from _wrong_shapes(verdict)


def _over_limits(verdict: Verdict) -> Iterator[str]:
    limits, flops, size = verdict.protocol, verdict.cost.flops, verdict.bytes
    if flops is not None and flops > limits.max_flops:
        yield f"{flops:,} counter-FLOPs; at most {limits.max_flops:,} allowed"
    if size is not None and limits.max_file_bytes is not None and size >= limits.max_file_bytes:
        yield f"{size:,} bytes that ship; fewer than {limits.max_file_bytes:,} allowed"


def _wrong_ports(kind: str, ports: tuple[Port, ...], dtype: str) -> Iterator[str]:
    if len(ports) != 1:
        yield f"{len(ports)} {kind}s ({', '.join(port.name for port in ports)}); expected one"
    yield from (f"{kind} '{p.name}' is {p.dtype}; expected {dtype}" for p in ports if p.dtype != dtype)


def _wrong_shapes(verdict: Verdict) -> Iterator[str]:
    for port in verdict.inputs[:1]:
        if port.shape != INPUT_SHAPE:
            yield f"input '{port.name}' is {_shape(port.shape)}; the protocol counts at {_shape(INPUT_SHAPE)}"
    expected = (1, verdict.protocol.embedding_dim)
    for port in verdict.outputs[:1]:
        if port.shape != expected:
            yield f"output '{port.name}' is {_shape(port.shape)} for one image; expected {_shape(expected)}"


def _number(value: int | None) -> str:
    return "cannot be counted" if value is None else f"{value:,}"


def _size(size: int | None) -> str:
    return "cannot be counted" if size is None else f"{size:,} B = {size / 1e6:.2f} MB = {size / 2**20:.2f} MiB"


def _shape(shape: Shape | None) -> str:
    return "of unknown shape" if shape is None else "x".join(map(str, shape))


def _ports(ports: tuple[Port, ...]) -> str:
    return "; ".join(f"{port.dtype} {_shape(port.shape)}" for port in ports)
