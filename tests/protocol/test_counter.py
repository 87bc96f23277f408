"""Hand-computed layers, the challenge's check values on real exports, and an independent counter that executes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from distill.files.network_file import NetworkFile
from distill.protocol.counter import FREE, RULES, Cost, measure
from distill.students.mobilefacenet import MobileFaceNet
from distill.students.vargnet import VarGNet
from reference import counter as slow


def count(file: NetworkFile) -> Cost:
    return measure(file)[0]


def floats(*shape: int) -> np.ndarray:
    return np.full(shape, 0.5, dtype=np.float32)


def export(network: nn.Module, path: Path, fold: bool) -> Path:
    """Export with or without folding batch norms, every parameter and statistic different so that none is dropped."""
    generator = torch.Generator().manual_seed(0)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5, generator=generator)
    mode = torch.onnx.TrainingMode.EVAL if fold else torch.onnx.TrainingMode.PRESERVE
    torch.onnx.export(
        network.eval(),
        (torch.zeros(1, 3, 112, 112),),
        str(path),
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": {0: "batch"}},
        dynamo=False,
        training=mode,
        do_constant_folding=fold,
    )
    return path


def published() -> VarGNet:
    return VarGNet([40, 80, 160, 320], [3, 7, 4])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")  # the side is fixed
@pytest.mark.parametrize(
    ("network", "flops", "macs"),
    [(published, 1_022_864_152, 512_593_440), (MobileFaceNet, 933_336_950, 468_825_088)],
)
def test_published_networks_unfolded_to_the_digit(tmp_path, network, flops, macs):
    cost = count(NetworkFile(export(network(), tmp_path / "net.onnx", fold=False)))
    assert (cost.flops, cost.macs) == (flops, macs)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")  # the side is fixed
def test_folding_adds_one_operation_for_each_output_of_a_group(tmp_path):
    """The folded file counts 0.23 % more; ``bias_flops`` brackets the unfolded reading from below."""
    cost = count(NetworkFile(export(published(), tmp_path / "net.onnx", fold=True)))
    assert cost.flops == 1_025_186_880
    assert cost.macs == 512_593_440
    assert cost.bias_flops is not None
    assert cost.flops - cost.bias_flops == 1_022_864_152 - 2_650  # the gates' convolutions have true biases
    assert slow.count(tmp_path / "net.onnx") == (cost.flops, cost.macs)


def test_reference_teacher_agrees_with_an_executed_count(faces_root):
    cost = count(NetworkFile(faces_root / "reference_teacher.onnx"))
    assert (cost.flops, cost.macs) == slow.count(faces_root / "reference_teacher.onnx")
    assert cost.problems == ()


@pytest.mark.parametrize("bias", [False, True])
def test_depthwise_3x3_at_56(save, bias):
    channels = 64
    node = helper.make_node(
        "Conv", ["x", "w", *(["b"] if bias else [])], ["y"], group=channels, pads=[1, 1, 1, 1], kernel_shape=[3, 3]
    )
    path = save([node], {"w": floats(channels, 1, 3, 3), "b": floats(channels)}, ["n", channels, 56, 56])
    cost = count(NetworkFile(path))
    outputs = channels * 56 * 56
    assert cost.macs == 9 * outputs
    # the counter's "-1" is divided by the groups: one for each output of ONE channel
    assert cost.flops == 18 * outputs - (0 if bias else 56 * 56)
    assert cost.bias_flops == (56 * 56 if bias else 0)


def test_the_quotient_is_truncated_layer_by_layer(save):
    # (2 * 6 * 1 - 1) * 15 / 3 is whole; with 5 outputs of size 1x1 and 2 groups (2 * 6 - 1) * 6 / 4 = 16.5 is not
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=4)
    path = save([node], {"w": floats(4, 3, 1, 1)}, ["n", 12, 1, 1])
    assert count(NetworkFile(path)).flops == int((2 * 12 - 1) * 4 / 4) == 23
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=2)
    path = save([node], {"w": floats(2, 3, 1, 1)}, ["n", 6, 1, 1])
    assert count(NetworkFile(path)).flops == 11
    path = save([helper.make_node("Conv", ["x", "w"], ["y"], group=1)], {"w": floats(5, 6, 1, 1)}, ["n", 6, 3, 1])
    assert count(NetworkFile(path)).flops == (2 * 6 - 1) * 15


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"strides": [2, 2], "pads": [1, 1, 1, 1]}, 8),
        ({"dilations": [2, 2]}, 12),
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, 8),
        ({"auto_pad": "VALID"}, 14),
    ],
)
def test_strides_dilations_and_padding_only_set_the_output_size(save, options, size):
    path = save([helper.make_node("Conv", ["x", "w"], ["y"], **options)], {"w": floats(7, 3, 3, 3)}, ["n", 3, 16, 16])
    assert count(NetworkFile(path)).flops == (2 * 27 - 1) * 7 * size * size


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolutions_of_any_rank(save, rank):
    path = save([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": floats(4, 2, *[3] * rank)}, ["n", 2, *[5] * rank])
    assert count(NetworkFile(path)).macs == 2 * 3**rank * 4 * 3**rank


def test_kernels_computed_at_run_time_are_counted_by_shape(save):
    nodes = [helper.make_node("Exp", ["raw"], ["w"]), helper.make_node("Conv", ["x", "w"], ["y"])]
    assert count(NetworkFile(save(nodes, {"raw": floats(4, 3, 1, 1)}))).flops == 5 * 4 * 112 * 112


def test_a_kernel_that_does_not_fit_its_input_is_a_problem(save):
    path = save([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": floats(8, 5, 3, 3)})
    assert "do not fit" in count(NetworkFile(path)).problems[0]


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("bias", [False, True])
def test_dense_layer(save, bias, transposed):
    node = helper.make_node("Gemm", ["x", "w", *(["b"] if bias else [])], ["y"], transB=transposed)
    stored = {"w": floats(*((5, 12) if transposed else (12, 5))), "b": floats(5)}
    cost = count(NetworkFile(save([node], stored, ["n", 12])))
    assert (cost.flops, cost.macs) == (120 if bias else 115, 60)


def test_dense_layer_over_a_map_counts_all_its_elements(save):
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w", "b"], ["y"])]
    path = save(nodes, {"w": floats(4 * 7 * 7, 512), "b": floats(512)}, ["n", 4, 7, 7])
    assert count(NetworkFile(path)).flops == 2 * 196 * 512


def test_product_with_an_added_bias_is_a_dense_layer(save):
    product, add = helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Add", ["b", "p"], ["y"])
    stored = {"w": floats(12, 5), "b": floats(5)}
    assert count(NetworkFile(save([product, add], stored, ["n", 12]))).flops == 120
    last = helper.make_node("Add", ["p", "s"], ["y"])
    assert count(NetworkFile(save([product, last], {**stored, "s": floats(1)}, ["n", 12]))).flops == 115
    last = helper.make_node("Mul", ["p", "b"], ["y"])
    assert count(NetworkFile(save([product, last], stored, ["n", 12]))).flops == 115
    product.output[0] = "y"
    cost = count(NetworkFile(save([product], stored, ["n", 12])))
    assert (cost.flops, cost.operators[0].rule) == (115, "counter")


def test_weights_behind_a_transpose_are_still_constant(save):
    nodes = [helper.make_node("Transpose", ["w"], ["t"]), helper.make_node("MatMul", ["x", "t"], ["y"])]
    cost = count(NetworkFile(save(nodes, {"w": floats(5, 12)}, ["n", 12])))
    assert (cost.flops, cost.operators[0].rule) == (115, "counter")


def test_product_of_two_computed_matrices_is_an_extension(save):
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "t"], ["y"]),
    ]
    cost = count(NetworkFile(save(nodes, None, ["n", 4, 6])))
    assert (cost.flops, cost.macs) == (2 * 4 * 6 * 4, 4 * 6 * 4)
    assert cost.operators[0].rule == "extension"


def test_dense_layer_over_tokens_counts_every_row(save):
    cost = count(NetworkFile(save([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": floats(12, 5)}, ["n", 7, 12])))
    assert (cost.flops, cost.operators[0].rule) == (7 * 115, "extension")


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolution_is_two_macs(save, groups):
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], group=groups)
    cost = count(NetworkFile(save([node], {"w": floats(4, 3, 2, 2)}, ["n", 4, 5, 5])))
    macs = 4 * 25 * 3 * 4  # every input element meets 3 outputs of its group and 2x2 taps
    assert (cost.flops, cost.macs) == (2 * macs, macs)
    assert cost.operators[0].rule == "extension"


DOUBLED = {"scales": np.array([1, 1, 2, 2], np.float32)}


def resize(**options: Any) -> onnx.NodeProto:
    return helper.make_node("Resize", ["x", "", "scales"], ["y"], **options)


def test_nearest_up_sampling_is_free(save):
    path = save([resize(mode="nearest")], DOUBLED)
    assert (count(NetworkFile(path)).flops, slow.count(path)) == (0, (0, 0))


@pytest.mark.parametrize(("mode", "taps"), [("linear", 4), ("cubic", 16)])
def test_interpolation_is_a_product_for_each_tap_and_the_sums_between(save, mode, taps):
    path = save([resize(mode=mode)], DOUBLED)
    cost = count(NetworkFile(path))
    outputs = 3 * 224 * 224
    assert (cost.flops, cost.macs) == ((2 * taps - 1) * outputs, taps * outputs) == slow.count(path)
    assert [(o.op_type, o.rule) for o in cost.operators] == [("Resize", "extension")]


@pytest.mark.parametrize(
    ("shape", "scales", "taps"),
    [([2, 5], [1, 2, 2], 4), ([2, 5, 6], [1, 2, 2, 2], 8), ([2, 5, 6, 7], [1, 1, 1, 2, 1], 8)],
)
def test_taps_double_with_each_axis_behind_the_channels_and_each_that_changes(save, shape, scales, taps):
    path = save([resize(mode="linear")], {"scales": np.array(scales, np.float32)}, ["n", *shape])
    assert count(NetworkFile(path)).macs == taps * int(np.prod(shape) * np.prod(scales))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"mode": "linear", "antialias": 1}, "anti-aliased resizing has no counting rule"),
        ({"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}, "a crop within Resize"),
    ],
)
def test_resizing_whose_taps_are_unknown_is_a_problem(save, options: dict[str, Any], reason: str):
    inputs = {"roi": np.zeros(8, np.float32), **DOUBLED}
    node = helper.make_node("Resize", ["x", "roi", "scales"], ["y"], **options)
    assert reason in count(NetworkFile(save([node], inputs))).problems[0]


def test_a_mode_without_a_rule_is_a_problem(save):
    assert "expected nearest, linear or cubic" in count(NetworkFile(save([resize(mode="area")], DOUBLED))).problems[0]


def test_free_operators_are_standard_and_have_no_rule():
    known = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    assert known >= FREE | set(RULES)
    assert not FREE & set(RULES)


@pytest.mark.parametrize("op_type", ["Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "LSTM", "GRU", "RNN",
                                     "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul", "DeformConv",
                                     "Attention", "If", "Loop", "Scan", "RandomNormal", "DFT"])  # fmt: skip
def test_nothing_that_multiplies_weights_or_branches_is_free(op_type):
    assert op_type not in FREE


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (helper.make_node("Fancy", ["x"], ["y"], domain="my.ops"), "operator my.ops::Fancy is not a standard"),
        (helper.make_node("Einsum", ["x"], ["y"], equation="bchw->b"), "operator Einsum has no counting rule"),
        (helper.make_node("NoSuchThing", ["x"], ["y"]), "operator NoSuchThing has no counting rule"),
    ],
)
def test_unknown_operators_are_problems_without_numbers(save, node, reason):
    cost = count(NetworkFile(save([node])))
    assert cost.problems[0].startswith(reason)
    assert (cost.flops, cost.macs, cost.bias_flops, cost.operators) == (None, None, None, ())


def test_control_flow_and_functions_are_problems(save):
    branch = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["r"])], "b", [], [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)]
    )
    node = helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch)
    assert "control flow (If)" in count(NetworkFile(save([node], {"flag": np.array(True)}))).problems[0]
    path = save([helper.make_node("Twice", ["x"], ["y"], domain="local")])
    model = onnx.load(str(path))
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    model.functions.append(helper.make_function("local", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 20)]))
    onnx.save(model, str(path))
    assert "1 local functions" in count(NetworkFile(path)).problems[0]


def test_external_shapes_are_read_and_missing_data_is_a_problem(save, tmp_path):
    node = helper.make_node("Reshape", ["x", "target"], ["f"])
    dense = helper.make_node("Gemm", ["f", "w"], ["y"])
    path = save([node, dense], {"target": np.array([-1, 12]), "w": floats(12, 5)}, ["n", 3, 2, 2])
    whole = count(NetworkFile(path)).flops
    onnx.save(onnx.load(str(path)), str(path), save_as_external_data=True, location="data.bin", size_threshold=0)
    file = NetworkFile(path)
    graph = file.model.SerializeToString()
    assert count(file).flops == count(file).flops == whole == 115
    assert file.model.SerializeToString() == graph, "what was read for counting stays out of the file's own graph"
    (tmp_path / "data.bin").unlink()
    assert count(NetworkFile(path)).problems == ("external data 'data.bin' is missing beside the model",)


def test_a_shape_that_depends_on_values_is_a_problem(save):
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Cast", ["s"], ["i"], to=TensorProto.INT64),
        helper.make_node("Unsqueeze", ["i", "zero"], ["k"]),
        helper.make_node("Concat", ["one", "k"], ["target"], axis=0),
        helper.make_node("Expand", ["unit", "target"], ["e"]),
        helper.make_node("MatMul", ["w", "e"], ["y"]),
    ]
    stored = {"zero": np.array([0]), "one": np.array([1]), "w": floats(4, 1), "unit": floats(1, 1)}
    assert "dynamic or cannot be inferred" in (count(NetworkFile(save(nodes, stored))).problems or ("",))[0]


def test_a_dense_layer_with_its_left_side_transposed_multiplies_along_the_first_axis(save):
    node = helper.make_node("Gemm", ["w", "x"], ["y"], transA=1, transB=1)
    assert count(NetworkFile(save([node], {"w": floats(12, 5)}, ["n", 12]))).macs == 60
