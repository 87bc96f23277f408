"""Counter-FLOPs and MACs of an ONNX file by the rule of the LFR 2019 challenge.

Source: ``recognition/arcface_mxnet/common/flops_counter.py`` of deepinsight/insightface. Input 1x3x112x112,
``n`` the number of output elements, every layer truncated to an integer:

    convolution without bias   (2 cin kernel - 1) n / groups     (the "-1" is divided by the groups too)
    convolution with bias       2 cin kernel n / groups
    fully connected             2 in out with bias, 2 in out - out without
    everything else             0

The rule is applied to the file **as it is**. Folding a batch norm gives its convolution a bias, and so ``n / groups``
counter-FLOPs more: the published VarGFaceNet has 1,022,864,152 unfolded and 1,025,186,880 (0.23 % more) folded.
A file does not record which biases came from a batch norm. ``Cost.bias_flops`` is the share of all convolution biases,
so the network before folding lies between ``flops - bias_flops`` and ``flops``.

Our extensions, where the challenge's counter has no rule or where the organisers let the participant add the cost
(up-sampling and deconvolution, deepinsight/insightface#632):

    transposed convolution, product of two computed matrices (attention)      2 MACs
    fully connected over several rows                                         its rule for every row
    interpolation, ``t`` taps for each output: 2^k linear, 4^k cubic          (2 t - 1) n, as a layer without bias

``k`` counts the axes behind the channels, and any other whose size changes: bilinear resizing is 4 MACs and 7
counter-FLOPs for each output. Nearest-neighbour resizing copies and is free. Anti-aliased resizing and crops within
the operator, any other operator that is not in ``FREE``, control flow and local functions cannot be counted.
Elementwise products and sums are free by the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from onnx import ModelProto, NodeProto, helper

from distill.files.network_file import NetworkFile
from distill.protocol.graph import STANDARD_DOMAINS, Graph, Uncountable, graphs_of, label, with_shapes
from distill.protocol.weights import external_files, with_small_integers

Rule = Literal["counter", "extension", "free"]

FREE = frozenset(
    """
    Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast CastLike Ceil Celu Clip Concat Constant
    ConstantOfShape DepthToSpace DequantizeLinear Div Dropout Elu Equal Erf Exp Expand Flatten Floor Gather
    GatherElements GatherND Gelu GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual
    GroupNormalization HardSigmoid HardSwish Hardmax Identity InstanceNormalization LRN LayerNormalization LeakyRelu
    Less LessOrEqual Log LogSoftmax LpNormalization LpPool Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul
    Neg Not Or PRelu Pad Pow QuantizeLinear RMSNormalization Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round Selu Shape
    Sigmoid Sign Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tanh
    ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where Xor
    """.split()
)


TAPS: Mapping[int | bytes, int] = {b"linear": 2, b"cubic": 4}
"""Input elements that one output of an interpolation reads along one axis."""


@dataclass(frozen=True)
class Work:
    """What one node costs; ``bias_flops`` is the part of ``flops`` that a convolution's bias adds."""

    flops: int
    macs: int
    bias_flops: int = 0
    rule: Rule = "counter"


@dataclass(frozen=True)
class Operator:
    """All nodes of one operator that fall under one rule."""

    op_type: str
    rule: Rule
    nodes: int
    flops: int
    macs: int


@dataclass(frozen=True)
class Cost:
    """Cost of one forward pass at batch 1; the numbers are None where ``problems`` has the reasons."""

    flops: int | None
    macs: int | None
    bias_flops: int | None
    operators: tuple[Operator, ...]
    problems: tuple[str, ...]


def measure(file: NetworkFile) -> tuple[Cost, Graph | None]:
    """Counter-FLOPs and MACs of an ONNX file, and its graph with static shapes, None if these cannot be inferred.

    ``UserError`` if it is not ONNX; ``Cost.problems`` if it cannot be counted.
    """
    model, path = file.model, file.path
    if problems := [*external_files(model, path)[1], *uncountable_operators(model)]:
        return _uncounted(problems), None
    graph = None
    try:
        graph = with_shapes(with_small_integers(model, path), path)
        return cost(graph), graph
    except Uncountable as error:
        return _uncounted([str(error)]), graph


def _uncounted(problems: list[str]) -> Cost:
    return Cost(None, None, None, (), tuple(problems))


def cost(graph: Graph) -> Cost:
    """Sum the rule over all nodes; ``Uncountable`` names the node without a static shape."""
    works = [(node.op_type, _work(node, graph)) for node in graph.nodes]
    kinds: set[tuple[str, Rule]] = {(op_type, work.rule) for op_type, work in works}
    operators: list[Operator] = []
    for op_type, rule in sorted(kinds):
        mine = [work for name, work in works if (name, work.rule) == (op_type, rule)]
        operators.append(Operator(op_type, rule, len(mine), sum(w.flops for w in mine), sum(w.macs for w in mine)))
    return Cost(
        flops=sum(work.flops for _, work in works),
        macs=sum(work.macs for _, work in works),
        bias_flops=sum(work.bias_flops for _, work in works),
        operators=tuple(operators),
        problems=(),
    )


def uncountable_operators(model: ModelProto) -> list[str]:
    """One line for every kind of operator that the rule cannot judge."""
    problems: dict[str, None] = {}
    if model.functions:
        problems[f"{len(model.functions)} local functions cannot be counted; inline them when exporting"] = None
    for node in model.graph.node:
        if problem := _refuse(node):
            problems[problem] = None
    return list(problems)


def _refuse(node: NodeProto) -> str | None:
    if node.domain not in STANDARD_DOMAINS:
        return f"operator {node.domain}::{node.op_type} is not a standard ONNX operator and cannot be counted"
    if any(graphs_of(attribute) for attribute in node.attribute):
        return f"control flow ({node.op_type}) cannot be counted; simplify the file with onnxsim"
    if node.op_type not in FREE and node.op_type not in RULES:
        return f"operator {node.op_type} has no counting rule"
    return None


def _work(node: NodeProto, graph: Graph) -> Work:
    if node.op_type in FREE:
        return Work(0, 0, rule="free")
    return RULES[node.op_type](node, graph)


def _convolution(node: NodeProto, graph: Graph) -> Work:
    """Any number of spatial dimensions, strides, dilations and padding: only the output size matters."""
    kernel = graph.shape(node.input[1], node)
    outputs = prod(graph.shape(node.output[0], node))
    groups = int(_attribute(node, "group", 1))
    if graph.shape(node.input[0], node)[1] != kernel[1] * groups:  # shape inference does not look at this
        raise Uncountable(f"{label(node)}: the kernel's input channels do not fit the input; the file cannot run")
    taps = kernel[1] * groups * prod(kernel[2:])  # cin x kernel of the full layer, all groups
    biased = len(node.input) > 2 and bool(node.input[2])
    with_bias, without = 2 * taps * outputs // groups, (2 * taps - 1) * outputs // groups
    macs = taps * outputs // groups
    return Work(with_bias, macs, with_bias - without) if biased else Work(without, macs)


def _deconvolution(node: NodeProto, graph: Graph) -> Work:
    """Every input element meets cout / groups kernels."""
    kernel = graph.shape(node.input[1], node)
    macs = prod(graph.shape(node.input[0], node)) * kernel[1] * prod(kernel[2:])
    return Work(2 * macs, macs, rule="extension")


def _gemm(node: NodeProto, graph: Graph) -> Work:
    left = graph.shape(node.input[0], node)
    biased = len(node.input) > 2 and bool(node.input[2])
    inner = left[0] if _attribute(node, "transA", 0) else left[1]
    return _product(node, graph, inner, biased)


def _matmul(node: NodeProto, graph: Graph) -> Work:
    return _product(node, graph, graph.shape(node.input[0], node)[-1], _biased_by_add(node, graph))


def _product(node: NodeProto, graph: Graph, inner: int, biased: bool) -> Work:
    shape = graph.shape(node.output[0], node)
    macs = inner * prod(shape)
    if not any(name in graph.constants for name in node.input[:2]):
        return Work(2 * macs, macs, rule="extension")
    flops = 2 * macs if biased else 2 * macs - prod(shape)
    return Work(flops, macs, rule="counter" if prod(shape[:-1]) == 1 else "extension")


def _biased_by_add(node: NodeProto, graph: Graph) -> bool:
    """Whether an Add of one constant vector follows: how exporters write a bias after MatMul."""
    out = graph.shape(node.output[0], node)[-1]
    for add in graph.nodes:
        if add.op_type == "Add" and node.output[0] in add.input:
            other = add.input[1 - list(add.input).index(node.output[0])]
            if other in graph.constants and prod(graph.shape(other, add)) == out:
                return True
    return False


def _resize(node: NodeProto, graph: Graph) -> Work:
    mode = _attribute(node, "mode", b"nearest")
    if mode == b"nearest":
        return Work(0, 0, rule="free")
    if mode not in TAPS:
        raise Uncountable(
            f"{label(node)}: resizing by {mode!r} has no counting rule; expected nearest, linear or cubic"
        )
    if _attribute(node, "antialias", 0):
        raise Uncountable(f"{label(node)}: anti-aliased resizing has no counting rule; export it without antialias")
    if _attribute(node, "coordinate_transformation_mode", b"") == b"tf_crop_and_resize":
        raise Uncountable(f"{label(node)}: a crop within Resize has no counting rule; export a Slice before it")
    before, after = graph.shape(node.input[0], node), graph.shape(node.output[0], node)
    axes = sum(axis >= 2 or old != new for axis, (old, new) in enumerate(zip(before, after, strict=True)))
    taps, outputs = TAPS[mode] ** axes, prod(after)
    return Work((2 * taps - 1) * outputs, taps * outputs, rule="extension")


def _attribute(node: NodeProto, name: str, default: int | bytes) -> int | bytes:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


RULES: Mapping[str, Callable[[NodeProto, Graph], Work]] = {
    "Conv": _convolution,
    "ConvTranspose": _deconvolution,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Resize": _resize,
    "Upsample": _resize,
}
