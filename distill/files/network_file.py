"""A network on disk, by its contents: one identity for every kind of file, and where an ONNX graph keeps its weights.

Exporters leave large tensors in files beside the graph. onnxruntime looks for them from the folder that the graph is
opened in, also where the graph itself is a link, and refuses what lies outside of that folder; so does this file.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from onnx import ModelProto, TensorProto

from distill.errors import UserError
from distill.files.hashing import sha256

_LOCATION = "location"


def network_sha256(path: Path) -> str:
    """Hex sha256 of a network on disk with its external data; UserError if a file of it is missing or truncated.

    A checkpoint, and an ONNX graph that holds its own weights, is the sha256 of its file. Of a graph with external
    data it is that of the graph in which each location is replaced by the sha256 of the file there, so that contents
    and places in them count, and names do not.
    """
    try:
        model = _with_external_data(path)
        if model is None:
            return sha256(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); expected the file of a network") from error
    known: dict[Path, str] = {}
    for tensor in external_tensors(model):
        file, problem = locate(tensor, path)
        if problem is not None:
            raise UserError(f"{path}: {problem}; expected all files of the network: copy them together")
        if file not in known:
            known[file] = sha256(file)
        for entry in tensor.external_data:
            if entry.key == _LOCATION:
                entry.value = known[file]
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def external_tensors(model: Message) -> Iterator[TensorProto]:
    """Every tensor whose values lie in another file, wherever it stands: initialisers, attributes, functions, ..."""
    if isinstance(model, TensorProto):
        if model.data_location == TensorProto.EXTERNAL:
            yield model
        return
    for field, value in model.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in [value] if isinstance(value, Message) else value:
                yield from external_tensors(inner)


def locate(tensor: TensorProto, graph: Path) -> tuple[Path, str | None]:
    """The file with the values of an external tensor of ``graph``, and why it cannot serve, if so."""
    folder = graph.parent.resolve()
    entry = {e.key: e.value for e in tensor.external_data}
    location = entry.get(_LOCATION, "")
    file = (folder / location).resolve()
    if not location or not file.is_relative_to(folder):
        return file, f"external data '{location}' lies outside the model's folder"
    if not file.is_file():
        return file, f"external data '{location}' is missing beside the model"
    extent = [entry.get(key) or "0" for key in ("offset", "length")]
    if not all(number.isdecimal() for number in extent):
        return file, f"external data '{location}' has offset and length {extent}; expected numbers"
    end = sum(int(number) for number in extent)
    if end > file.stat().st_size:
        return file, f"external data '{location}' is cut off: {file.stat().st_size} bytes, at least {end} expected"
    return file, None


def _with_external_data(path: Path) -> ModelProto | None:
    """The graph in a file that keeps weights elsewhere; None for every other file, most of which are not parsed."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content.find(_LOCATION.encode()) < 0:
                return None
            try:
                model = ModelProto.FromString(content[:])
            except DecodeError:
                return None
    return model if next(external_tensors(model), None) is not None else None
