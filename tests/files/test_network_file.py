"""One identity for every network on disk: it follows each number that the network computes with, and no name."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from distill.errors import UserError
from distill.files.network_file import LARGEST_SHAPE_BYTES, NetworkFile, network_sha256
from reference.file_reads import counting
from reference.tiny_onnx import TinyOnnx
from teachers.onnx_network import OnnxNetwork


def outside(folder: Path, location: str = "weights.data") -> Path:
    """The tiny network with its weights in ``location``."""
    path = TinyOnnx().write(folder / "tiny.onnx")
    (folder / location).parent.mkdir(parents=True, exist_ok=True)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location=location, size_threshold=0)
    return path


def flip_bit(path: Path, at: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_graph_that_holds_its_weights_is_the_sha256_of_its_file(tmp_path: Path):
    path = TinyOnnx(metadata={"location": "none"}).write(tmp_path / "tiny.onnx")
    assert network_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "a.ckpt"])
def test_a_checkpoint_is_the_sha256_of_its_file(name: str, tmp_path: Path):
    path, tensors = tmp_path / name, {"location": torch.arange(4.0)}
    save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)
    before = network_sha256(path)
    assert before == hashlib.sha256(path.read_bytes()).hexdigest()
    flip_bit(path, path.stat().st_size // 2)
    assert network_sha256(path) != before


def test_an_empty_file_has_an_identity_and_a_missing_one_is_named(tmp_path: Path):
    (tmp_path / "a.onnx").touch()
    assert network_sha256(tmp_path / "a.onnx") == hashlib.sha256().hexdigest()
    with pytest.raises(UserError, match=r"b\.onnx: cannot be read"):
        network_sha256(tmp_path / "b.onnx")


@pytest.mark.parametrize("location", ["weights.data", "deep/er/weights.bin"])
def test_every_byte_of_external_data_counts(location: str, tmp_path: Path):
    path = outside(tmp_path, location)
    before = network_sha256(path)
    assert network_sha256(path) == before
    flip_bit(tmp_path / location, -1)
    assert network_sha256(path) != before


def test_the_names_of_files_do_not_count(tmp_path: Path):
    for folder, location in (("a", "weights.data"), ("b", "deep/other.bin")):
        (tmp_path / folder).mkdir()
        outside(tmp_path / folder, location).rename(tmp_path / folder / f"{folder}.onnx")
    assert network_sha256(tmp_path / "a/a.onnx") == network_sha256(tmp_path / "b/b.onnx")


def test_places_in_the_data_count(tmp_path: Path):
    (tmp_path / "data").write_bytes(np.arange(8, dtype=np.float32).tobytes())

    def at(offset: int) -> Path:
        return saved(tmp_path, lambda model: model.graph.initializer.append(external("x", offset=offset)))

    assert network_sha256(at(0)) != network_sha256(at(16))


def external(name: str, location: str = "data", offset: int = 0) -> TensorProto:
    """Four float32 in another file."""
    tensor = TensorProto(name=name, dims=[4], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": str(offset), "length": "16"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def saved(folder: Path, change: Callable[[ModelProto], object]) -> Path:
    path = TinyOnnx().write(folder / "tiny.onnx")
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def attribute(**content: object) -> AttributeProto:
    return AttributeProto(name="value", **content)  # pyright: ignore[reportArgumentType]


def in_node(found: AttributeProto) -> onnx.NodeProto:
    return onnx.NodeProto(op_type="Constant", output=["unused"], attribute=[found])


def sparse() -> onnx.SparseTensorProto:
    indices = numpy_helper.from_array(np.arange(4), "indices")
    return onnx.SparseTensorProto(values=external("x"), indices=indices, dims=[9])


PLACES: dict[str, Callable[[ModelProto], object]] = {
    "initializer": lambda model: model.graph.initializer.append(external("x")),
    "sparse initializer": lambda model: model.graph.sparse_initializer.append(sparse()),
    "attribute": lambda model: model.graph.node.append(in_node(attribute(type=AttributeProto.TENSOR, t=external("x")))),
    "attribute of several": lambda model: model.graph.node.append(
        in_node(attribute(type=AttributeProto.TENSORS, tensors=[external("x")]))
    ),
    "sparse attribute": lambda model: model.graph.node.append(
        in_node(attribute(type=AttributeProto.SPARSE_TENSOR, sparse_tensor=sparse()))
    ),
    "subgraph": lambda model: model.graph.node.append(
        in_node(attribute(type=AttributeProto.GRAPH, g=GraphProto(initializer=[external("x")])))
    ),
    "function": lambda model: model.functions.add(name="f").node.append(
        in_node(attribute(type=AttributeProto.TENSOR, t=external("x")))
    ),
    "training": lambda model: model.training_info.add().initialization.initializer.append(external("x")),
}


@pytest.mark.parametrize("place", PLACES)
def test_external_data_is_found_wherever_it_stands(place: str, tmp_path: Path):
    data = tmp_path / "data"
    data.write_bytes(bytes(16))
    path = saved(tmp_path, PLACES[place])
    before = network_sha256(path)
    flip_bit(data)
    assert network_sha256(path) != before
    data.unlink()
    with pytest.raises(UserError, match=r"tiny\.onnx: external data 'data' is missing beside the model"):
        network_sha256(path)


def test_each_of_several_files_counts(tmp_path: Path):
    names = ["one", "two", "three"]
    for name in names:
        (tmp_path / name).write_bytes(bytes(16))
    path = saved(tmp_path, lambda model: model.graph.initializer.extend(external(name, name) for name in names))
    known = {network_sha256(path)}
    for name in names:
        flip_bit(tmp_path / name)
        known.add(network_sha256(path))
    assert len(known) == 1 + len(names)


def test_a_file_that_is_cut_off_is_named(tmp_path: Path):
    (tmp_path / "data").write_bytes(bytes(15))
    path = saved(tmp_path, PLACES["initializer"])
    with pytest.raises(UserError, match="'data' is cut off: 15 bytes, at least 16 expected"):
        network_sha256(path)


def test_a_linked_graph_has_the_data_beside_the_link_as_onnxruntime_reads_it(tmp_path: Path):
    folders = [tmp_path / name for name in ("real", "link")]
    for folder in folders:
        folder.mkdir()
        outside(folder)
    real, link = (folder / "tiny.onnx" for folder in folders)
    flip_bit(tmp_path / "link/weights.data", 3)
    other = network_sha256(link)
    link.unlink()
    link.symlink_to(real)
    crops = torch.full((1, 3, 112, 112), 200, dtype=torch.uint8)
    assert not torch.equal(OnnxNetwork(link).embed(crops), OnnxNetwork(real).embed(crops))
    assert network_sha256(link) == other != network_sha256(real)


@pytest.mark.parametrize("location", ["../weights.data", "link/weights.data"])
def test_data_outside_of_the_folder_is_refused_as_by_onnxruntime(location: str, tmp_path: Path):
    (tmp_path / "network").mkdir()
    path = outside(tmp_path / "network", "weights.data")
    shutil.move(tmp_path / "network/weights.data", tmp_path)
    os.symlink(tmp_path, tmp_path / "network/link")
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="lies outside the model's folder"):
        network_sha256(path)
    with pytest.raises(UserError):
        OnnxNetwork(path)


def test_what_only_mentions_a_location_is_no_graph(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("the location of the weights")
    assert network_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    named = TinyOnnx().write(tmp_path / "tiny.onnx")
    model = onnx.load(named)
    helper.set_model_props(model, {"location": "here"})
    onnx.save(model, named)
    assert network_sha256(named) == hashlib.sha256(named.read_bytes()).hexdigest()


def test_hash_graph_and_metadata_come_of_one_read(tmp_path: Path):
    path = TinyOnnx(metadata={"run": "first"}).write(tmp_path / "tiny.onnx")
    first, file = network_sha256(path), NetworkFile(path)
    with counting() as reads:
        assert file.metadata == {"run": "first"}
        TinyOnnx(width=9, metadata={"run": "swapped"}).write(path)
        assert (file.sha256, file.metadata) == (first, {"run": "first"})
        assert [tuple(t.dims) for t in file.model.graph.initializer] == [(6, 3, 7, 7)]
    assert reads[path] == 1
    assert NetworkFile(path).sha256 != first


def test_nothing_is_read_before_the_first_question(tmp_path: Path):
    file = NetworkFile(tmp_path / "tiny.onnx")
    TinyOnnx().write(file.path)
    assert file.sha256 == hashlib.sha256(file.path.read_bytes()).hexdigest()


def test_large_weights_are_not_held(tmp_path: Path):
    path = TinyOnnx().write(tmp_path / "tiny.onnx")
    (weights,) = NetworkFile(path).model.graph.initializer
    assert path.stat().st_size > np.prod(weights.dims) * 4 > LARGEST_SHAPE_BYTES
    assert not weights.raw_data
    assert NetworkFile(path).model.ByteSize() < LARGEST_SHAPE_BYTES


def test_small_weights_keep_their_values_for_the_inference_of_shapes(tmp_path: Path):
    shape = numpy_helper.from_array(np.array([1, -1], np.int64), "shape")
    path = saved(tmp_path, lambda model: model.graph.initializer.append(shape))
    assert numpy_helper.to_array(NetworkFile(path).model.graph.initializer[1]).tolist() == [1, -1]


def test_the_data_outside_of_a_graph_are_read_for_its_hash_alone(tmp_path: Path):
    file = NetworkFile(outside(tmp_path))
    expected = network_sha256(file.path)
    with counting() as reads:
        before = file.model.SerializeToString()
        assert not reads[tmp_path / "weights.data"]
        assert (file.sha256, file.sha256) == (expected, expected)
    assert reads[file.path] == reads[tmp_path / "weights.data"] == 1
    assert file.model.SerializeToString() == before, "locations are replaced in a copy"


def test_a_file_with_the_data_of_several_tensors_is_read_once(tmp_path: Path):
    (tmp_path / "data").write_bytes(bytes(32))
    both = [external("x"), external("y", offset=16)]
    path = saved(tmp_path, lambda model: model.graph.initializer.extend(both))
    with counting() as reads:
        network_sha256(path)
    assert reads[tmp_path / "data"] == 1


def test_a_file_that_is_no_network_has_an_identity_and_no_graph(tmp_path: Path):
    file = NetworkFile(tmp_path / "a.bin")
    file.path.write_bytes(b"\xff\xfe\xfd" * 99)
    assert file.sha256 == hashlib.sha256(file.path.read_bytes()).hexdigest()
    with pytest.raises(UserError, match=r"a\.bin"):
        _ = file.model


def test_a_path_stands_for_its_file(tmp_path: Path):
    file = NetworkFile(tmp_path / "a.onnx")
    assert NetworkFile.of(file) is file
    assert NetworkFile.of(str(file.path)) == NetworkFile.of(file.path) == file
