"""Networks that do otherwise than they declare: what each is found to do, and that it gives the right embeddings."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper

from distill.errors import UserError
from distill.types import Preprocessing
from teachers.card import Card, write_card
from teachers.onnx_network import PIXELS, OnnxNetwork

WIDTH = 6
WEIGHTS = np.random.default_rng(3).standard_normal((WIDTH, 3 * 49)).astype(np.float32) / 12
SHAPES = {"NCHW": (3, 112, 112), "NHWC": (112, 112, 3)}
DTYPES = {
    TensorProto.FLOAT: (Preprocessing(), 1e-4),
    TensorProto.DOUBLE: (Preprocessing(), 1e-4),
    TensorProto.FLOAT16: (Preprocessing(), 2e-2),
    TensorProto.UINT8: (PIXELS, 1e-4),
}


@dataclass(frozen=True)
class Net:
    """Means over 16x16 blocks and a dense layer, as some exporter might have written it.

    ``declared`` is the batch that the input declares, ``said`` the layout that it declares and ``layout`` the one that
    the graph takes. ``flat`` is the first number of the graph's reshape: -1 takes any batch. ``mean`` subtracts the
    mean over the batch, as a norm that was left in training mode does.
    """

    declared: int | str = "b"
    layout: str = "NCHW"
    said: str | None = None
    flat: int = -1
    dtype: int = TensorProto.FLOAT
    out: Sequence[int] = (-1, WIDTH)
    mean: bool = False
    extra: Sequence[tuple[str, NodeProto]] = ()

    def write(self, path: Path) -> Path:
        layout = "NCHW" if self.layout in ("NCHW", "CHW") else "NHWC"
        shape = [self.declared, *SHAPES[self.said or layout]]
        shape = shape if len(self.layout) == 4 else shape[1:]
        nodes = [helper.make_node("Cast", ["crops"], ["real"], to=TensorProto.FLOAT)]
        if len(self.layout) == 3:
            nodes.append(helper.make_node("Unsqueeze", ["real", "zero"], ["batched"]))
        last = nodes[-1].output[0]
        if layout == "NHWC":
            nodes.append(helper.make_node("Transpose", [last], ["nchw"], perm=[0, 3, 1, 2]))
            last = "nchw"
        nodes += [
            helper.make_node("AveragePool", [last], ["pooled"], kernel_shape=[16, 16], strides=[16, 16]),
            helper.make_node("Reshape", ["pooled", "flat"], ["rows"]),
            helper.make_node("Gemm", ["rows", "w"], ["dense"], transB=1),
        ]
        if self.mean:
            nodes.append(helper.make_node("ReduceMean", ["dense"], ["centre"], axes=[0], keepdims=1))
            nodes.append(helper.make_node("Sub", ["dense", "centre"], ["moved"]))
        nodes.append(helper.make_node("Reshape", ["moved" if self.mean else "dense", "out"], ["embedding"]))
        nodes += [node for _, node in self.extra]
        names = [name for name, _ in self.extra if name.startswith("a")]
        names += ["embedding", *(name for name, _ in self.extra if name not in names)]
        constants = {
            "flat": np.array([self.flat, -1 if self.flat > 0 else 3 * 49]),
            "w": WEIGHTS,
            "out": np.array(self.out),
            "zero": np.array([0]),
        }
        graph = helper.make_graph(
            nodes,
            "net",
            [helper.make_tensor_value_info("crops", self.dtype, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
        return path


def reference(images: torch.Tensor, preprocessing: Preprocessing) -> np.ndarray:
    crops = preprocessing(images).numpy().astype(np.float64)
    return crops.reshape(len(crops), 3, 7, 16, 7, 16).mean((3, 5)).reshape(len(crops), -1) @ WEIGHTS.T


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (19, 3, 112, 112), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


@dataclass
class Opened:
    network: OnnxNetwork
    notes: list[str]


def opened(path: Path, caplog: pytest.LogCaptureFixture) -> Opened:
    with caplog.at_level(logging.INFO):
        network = OnnxNetwork(path)
    return Opened(network, [record.getMessage() for record in caplog.records])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "CHW", "HWC"])
@pytest.mark.parametrize(
    ("declared", "flat", "batch"),
    [("b", -1, None), ("b", 1, 1), (1, 1, 1), (1, -1, 1), ("b", 4, 4), (4, 4, 4), (3, -1, 3), (5, 1, 1), (1, 16, 16)],
)
def test_every_batch_layout_and_dtype_gives_its_embeddings(
    tmp_path: Path,
    images: torch.Tensor,
    dtype: TensorProto.DataType,
    layout: str,
    declared: int | str,
    flat: int,
    batch: int | None,
) -> None:
    if len(layout) == 3 and flat > 1:
        pytest.skip("one image without a batch cannot be several")
    network = OnnxNetwork(Net(declared, layout, dtype=dtype, flat=flat).write(tmp_path / "net.onnx"))
    preprocessing, tolerance = DTYPES[dtype]
    assert network.batch == (1 if len(layout) == 3 else batch)
    assert (network.embedding_dim, network.preprocessing) == (WIDTH, preprocessing)
    found = network.embed(images)
    expected = reference(images, preprocessing)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("out", [(-1, WIDTH), (-1, WIDTH, 1, 1), (-1, 1, WIDTH), (-1, 1, 1, WIDTH), (WIDTH,), (-1, 1)])
def test_an_embedding_may_have_dimensions_of_one_or_no_batch(
    tmp_path: Path, images: torch.Tensor, out: Sequence[int]
) -> None:
    flat = 1 if out in ((WIDTH,), (-1, 1)) else -1
    network = OnnxNetwork(Net("b", out=out, flat=flat).write(tmp_path / "net.onnx"))
    expected = reference(images, Preprocessing())
    np.testing.assert_allclose(network.embed(images), expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("said", "layout"), [("NHWC", "NCHW"), ("NCHW", "NHWC")])
@pytest.mark.parametrize("declared", ["b", 1, 4])
def test_a_layout_that_is_declared_wrongly_is_found(
    tmp_path: Path, images: torch.Tensor, caplog, said: str, layout: str, declared: int | str
) -> None:
    found = opened(Net(declared, layout, said).write(tmp_path / "net.onnx"), caplog)
    expected = reference(images, Preprocessing())
    np.testing.assert_allclose(found.network.embed(images), expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert len(found.notes) == 1
    assert f"and takes {layout}" in found.notes[0]


@pytest.mark.parametrize("declared", ["b", 4])
def test_a_network_that_looks_at_the_whole_batch_is_run_image_by_image(
    tmp_path: Path, images: torch.Tensor, caplog, declared: int | str
) -> None:
    found = opened(Net(declared, mean=True).write(tmp_path / "net.onnx"), caplog)
    assert found.network.batch == 1
    assert "is run image by image" in found.notes[0]
    assert torch.equal(found.network.embed(images)[5:6], found.network.embed(images[5:6]))


def test_a_network_that_mixes_its_images_and_takes_none_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"in any way that was tried .*changes with the other images of a batch"
    ) as caught:
        OnnxNetwork(Net("b", flat=4, mean=True).write(tmp_path / "net.onnx"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("net", "note"),
    [
        (Net("b", flat=1), "it declares an open batch and is run image by image"),
        (Net("b", flat=4), "it declares an open batch and is run with 4 images at a time, padded"),
        (Net(5, flat=1), "it declares batches of 5 and is run image by image"),
        (Net(1, "NHWC", "NCHW"), "it declares the input [1, 3, 112, 112] and takes NHWC; it declares batches of 1"),
    ],
)
def test_one_note_says_what_was_found(tmp_path: Path, caplog, net: Net, note: str) -> None:
    found = opened(net.write(tmp_path / "net.onnx"), caplog)
    assert len(found.notes) == 1
    assert f"net.onnx: found by trying: {note}" in found.notes[0]


@pytest.mark.parametrize(
    "net", [Net(), Net(1), Net(1, flat=1), Net(4), Net("b", "NHWC"), Net("b", "CHW"), Net(dtype=TensorProto.UINT8)]
)
def test_what_does_as_it_declares_is_not_spoken_of(tmp_path: Path, caplog, net: Net) -> None:
    assert not opened(net.write(tmp_path / "net.onnx"), caplog).notes


def test_of_several_outputs_the_one_called_an_embedding_is_read(tmp_path: Path, caplog) -> None:
    logits = helper.make_node("Concat", ["dense"] * 9, ["a_logits"], axis=1)
    found = opened(Net(extra=[("a_logits", logits)]).write(tmp_path / "net.onnx"), caplog)
    assert (found.network.output_name, found.network.embedding_dim) == ("embedding", WIDTH)
    assert "it has 2 outputs; the embedding is read from 'embedding'" in found.notes[0]


def test_of_outputs_without_that_name_the_one_as_wide_as_embeddings_are_is_read(tmp_path: Path) -> None:
    path = Net(extra=[("wide", helper.make_node("Concat", ["dense"] * 9, ["wide"], axis=1))]).write(tmp_path / "n.onnx")
    model = onnx.load(path)
    for output in model.graph.output:
        output.name = "dense" if output.name == "embedding" else output.name
    del model.graph.node[-2]
    onnx.save(model, path)
    assert OnnxNetwork(path).output_name == "wide"


def test_weights_beside_the_file_are_found_where_its_declaration_is_wrong(tmp_path: Path, images) -> None:
    path = Net(1, "NHWC", "NCHW").write(tmp_path / "net.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="net.data")
    expected = reference(images, Preprocessing())
    np.testing.assert_allclose(OnnxNetwork(path).embed(images), expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_what_runs_in_no_way_is_refused_with_what_was_tried(tmp_path: Path) -> None:
    path = Net("b", flat=5).write(tmp_path / "net.onnx")
    with pytest.raises(UserError) as caught:
        OnnxNetwork(path)
    told = str(caught.value)
    assert told.startswith(f"{path} gives no embedding output [b d] in any way that was tried (NCHW and NHWC; ")
    assert "1, 8, 2, 4, 16, 32, 64, 128 images at a time" in told
    assert "\n" not in told
    assert "[ONNXRuntimeError]" not in told
    assert ".cc:" not in told


def test_uint8_pixels_go_in_as_they_are(tmp_path: Path) -> None:
    path = Net(dtype=TensorProto.UINT8).write(tmp_path / "net.onnx")
    assert OnnxNetwork(path).preprocessing == PIXELS
    write_card(Card("net", "here", "MIT", Preprocessing()), tmp_path / "net.card.yaml")
    with pytest.raises(
        UserError, match=r"takes uint8 pixels, and its preprocessing is mean .*expected mean 0 and std 1"
    ):
        OnnxNetwork(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda model: setattr(model, "ir_version", 99), "Unsupported model IR version: 99, max supported"),
        (lambda model: setattr(model.opset_import[0], "version", 99), "Opset 99 is under development"),
    ],
)
def test_a_refusal_has_no_line_of_code_of_onnxruntime(tmp_path: Path, change, told: str, capfd) -> None:
    path = Net().write(tmp_path / "net.onnx")
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    with pytest.raises(UserError) as caught:
        OnnxNetwork(path)
    assert told in str(caught.value)
    assert not any(noise in str(caught.value) for noise in ("onnxruntime::", ".cc", ".h:", "ONNXRuntimeError", "\n"))
    assert capfd.readouterr().err == ""
