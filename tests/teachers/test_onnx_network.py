from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from distill.errors import UserError
from distill.files.hashing import sha256
from distill.types import Preprocessing
from reference.tiny_onnx import TinyOnnx
from teachers.card import Card, write_card
from teachers.onnx_network import METADATA_KEY, OnnxNetwork, preprocessing_from_json, preprocessing_to_json

BGR = Preprocessing("bgr", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (5, 3, 112, 112), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize(
    "kind",
    [
        TinyOnnx(),
        TinyOnnx(batch=1),
        TinyOnnx(batch=4),
        TinyOnnx(width=130),
        TinyOnnx(channels_last=True),
        TinyOnnx(batch=2, channels_last=True, spatial=True),
        TinyOnnx(spatial=True),
        TinyOnnx(size_px="side"),
    ],
)
def test_every_make_gives_its_embeddings(tmp_path: Path, images: torch.Tensor, kind: TinyOnnx, count: int) -> None:
    network = OnnxNetwork(kind.write(tmp_path / "net.onnx"), threads=2)
    found = network.embed(images[:count])
    assert network.embedding_dim == kind.width
    assert network.batch == (kind.batch if isinstance(kind.batch, int) else None)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, kind.reference((images[:count].numpy() - 127.5) / 128), rtol=1e-4, atol=1e-4)


def test_order_of_images_survives_many_runs(tmp_path: Path) -> None:
    kind = TinyOnnx(batch=1)
    images = torch.randint(0, 256, (40, 3, 112, 112), dtype=torch.uint8)
    found = OnnxNetwork(kind.write(tmp_path / "net.onnx"), threads=4).embed(images)
    np.testing.assert_allclose(found, kind.reference((images.numpy() - 127.5) / 128), rtol=1e-4, atol=1e-4)


def test_half_precision_file(tmp_path: Path, images: torch.Tensor) -> None:
    kind = TinyOnnx(dtype=TensorProto.FLOAT16)
    found = OnnxNetwork(kind.write(tmp_path / "net.onnx")).embed(images)
    np.testing.assert_allclose(found, kind.reference((images.numpy() - 127.5) / 128), rtol=0.02, atol=0.02)


def test_shows_no_maps_and_nothing_to_train(tmp_path: Path) -> None:
    network = OnnxNetwork(TinyOnnx().write(tmp_path / "net.onnx"))
    assert network.map_channels == {}
    assert network.forward_maps(torch.zeros(1, 3, 112, 112)).maps == {}
    assert list(network.parameters()) == []
    assert network.state_dict() == {}


def test_several_outputs_the_first_embedding_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = TinyOnnx(extra_outputs_first=("pooled",)).write(tmp_path / "net.onnx")
    with caplog.at_level(logging.WARNING):
        network = OnnxNetwork(path)
    assert network.output_name == "embedding"
    assert "2 outputs; the embedding is read from 'embedding'" in caplog.text


def card(preprocessing: Preprocessing, name: str = "net", sha: str | None = None) -> Card:
    return Card(name, "here", "MIT", preprocessing, sha256=sha)


def test_preprocessing_from_metadata_goes_before_a_card(tmp_path: Path, images: torch.Tensor) -> None:
    kind = TinyOnnx(metadata={METADATA_KEY: preprocessing_to_json(BGR)})
    path = kind.write(tmp_path / "net.onnx")
    write_card(card(Preprocessing()), tmp_path / "net.card.yaml")
    network = OnnxNetwork(path)
    assert (network.preprocessing, network.preprocessing_source) == (BGR, "metadata")
    flipped = images.numpy()[:, ::-1].astype(np.float64)
    expected = (flipped - np.reshape([1, 2, 3], (3, 1, 1))) / np.reshape([4, 5, 6], (3, 1, 1))
    np.testing.assert_allclose(network.embed(images), kind.reference(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("file", "name", "right_hash", "expected"),
    [
        ("net.card.yaml", "any", False, "card"),
        ("net.onnx.card.yaml", "any", True, "card"),
        ("card.yaml", "net", False, "card"),
        ("card.yaml", "net.onnx", False, "card"),
        ("card.yaml", "other", True, "card"),
        ("card.yaml", "other", False, "default"),
    ],
)
def test_preprocessing_from_a_card_that_speaks_of_the_file(
    tmp_path: Path, file: str, name: str, right_hash: bool, expected: str
) -> None:
    path = TinyOnnx().write(tmp_path / "net.onnx")
    write_card(card(BGR, name, sha256(path) if right_hash else None), tmp_path / file)
    network = OnnxNetwork(path)
    assert network.preprocessing_source == expected
    assert network.preprocessing == (BGR if expected == "card" else Preprocessing())


def test_default_and_given_preprocessing(tmp_path: Path) -> None:
    path = TinyOnnx().write(tmp_path / "net.onnx")
    assert OnnxNetwork(path).preprocessing_source == "default"
    given = OnnxNetwork(path, BGR)
    assert (given.preprocessing, given.preprocessing_source) == (BGR, "given")


def test_card_of_another_version_of_the_file_is_an_error(tmp_path: Path) -> None:
    path = TinyOnnx().write(tmp_path / "net.onnx")
    write_card(card(BGR, sha="0" * 64), tmp_path / "net.card.yaml")
    with pytest.raises(UserError, match="another hash than its card says"):
        OnnxNetwork(path)


@pytest.mark.parametrize("text", ["rgb", "{}", '{"order": "rgb"}', '{"order": "rgb", "mean": 1, "std": 2}', "[1]"])
def test_bad_metadata_is_an_error(tmp_path: Path, text: str) -> None:
    path = TinyOnnx(metadata={METADATA_KEY: text}).write(tmp_path / "net.onnx")
    with pytest.raises(UserError, match=r"net\.onnx: metadata 'preprocessing'"):
        OnnxNetwork(path)


def test_json_round_trip() -> None:
    assert preprocessing_from_json(preprocessing_to_json(BGR), "here") == BGR


def broken(path: Path, change: Any) -> Path:
    model = onnx.load(TinyOnnx().write(path))
    change(model)
    onnx.save(model, path)
    return path


def custom_operator(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type, model.graph.node[1].domain = "Sorcery", "custom"
    model.opset_import.append(helper.make_opsetid("custom", 1))


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))


def only_a_map(model: onnx.ModelProto) -> None:
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("pooled", TensorProto.FLOAT, None))


def elsewhere(model: onnx.ModelProto) -> None:
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="gone.bin")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (custom_operator, "cannot be run by onnxruntime: .*Sorcery"),
        (second_input, r"has 2 inputs \(input, mask\); expected 1"),
        (only_a_map, r"no embedding output \[b d\]; it gives pooled \[1, 3, 7, 7\]"),
        (elsewhere, "cannot be run by onnxruntime: .*gone.bin"),
    ],
)
def test_unfit_graphs_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    path = broken(tmp_path / "net.onnx", change)
    with pytest.raises(UserError, match=message) as caught:
        OnnxNetwork(path)
    assert "\n" not in str(caught.value)


def test_other_sizes_and_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"takes input .*128, 128\]; expected \[b 3 112 112\]"):
        OnnxNetwork(TinyOnnx(size_px=128).write(tmp_path / "net.onnx"))
    graph = helper.make_graph(
        [helper.make_node("Identity", ["input"], ["embedding"])],
        "flat",
        [helper.make_tensor_value_info("input", TensorProto.INT64, ["b", 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", TensorProto.INT64, None)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "i.onnx")
    with pytest.raises(UserError, match=r"takes tensor\(int64\)"):
        OnnxNetwork(tmp_path / "i.onnx")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = TinyOnnx().write(tmp_path / "net.onnx")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(UserError, match=r"net\.onnx (is not an ONNX file|cannot be run)"):
        OnnxNetwork(path)


def test_missing_file_and_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        OnnxNetwork(tmp_path / "none.onnx")
    (tmp_path / "net.onnx").write_text("<html>not found</html>")
    with pytest.raises(UserError, match=r"is not an ONNX file, but an HTML page: .* download the file itself"):
        OnnxNetwork(tmp_path / "net.onnx")
