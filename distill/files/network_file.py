"""A network on disk, read once: its identity by its contents, its ONNX graph, and where that keeps its weights.

Exporters leave large tensors in files beside the graph. onnxruntime looks for them from the folder that the graph is
opened in, also where the graph itself is a link, and refuses what lies outside of that folder; so does this file.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from onnx import ModelProto, TensorProto

from distill.errors import UserError
from distill.files.foreign import foreign, kind_of
from distill.files.hashing import sha256
from distill.files.kinds import EMPTY, ONNX

LARGEST_SHAPE_BYTES = 1024  # what shape inference may want the values of: shapes, axes, scales
_LOCATION = "location"


@dataclass(frozen=True)
class NetworkFile:
    """The file of a network, read once in a job, whatever parts of the job ask of it.

    Nothing is read before the first question, and no question reads it again: hash and graph come of one read, so a
    file that is swapped under a running job cannot give the hash of one network and the cost of another. The values of
    large weights are dropped after that read; a network of 500 MB is not held beside the session that runs it.
    onnxruntime and the checker of ONNX read the file themselves.
    """

    path: Path

    @classmethod
    def of(cls, source: NetworkFile | Path | str) -> NetworkFile:
        """The same file, or the one at a path."""
        return source if isinstance(source, NetworkFile) else cls(Path(source))

    @cached_property
    def sha256(self) -> str:
        """Hex sha256 of all that the network on disk is; raises UserError where a file of it is missing or cut off.

        A checkpoint, and an ONNX graph that holds its own weights, is the sha256 of its file. Of a graph with external
        data it is that of the graph in which each location is replaced by the sha256 of the file there, so that
        contents and places in them count, and names do not.
        """
        content = self._content("the file of a network")
        return content.sha256 if content.own or content.model is None else self._with_external_data(content.model)

    @cached_property
    def model(self) -> ModelProto:
        """The ONNX model without the values of its large weights; not to be changed.

        Raises UserError if the file is not an ONNX file, is empty or cut off.
        """
        path, expected = self.path, "an ONNX file"
        if problem := foreign(path, expected, ONNX, EMPTY):
            raise UserError(problem)
        if (model := self._content(expected).model) is None:
            raise UserError(f"{path}: not an ONNX file, or cut off; export or copy it again")
        if not model.graph.node or not model.opset_import:
            raise UserError(
                f"{path}: holds no ONNX graph with nodes and an opset, or is cut off; export or copy it again"
            )
        if any(isinstance(text, bytes) for text in _texts(model)):  # protobuf hands out text that is not UTF-8 as bytes
            raise UserError(f"{path}: damaged, a name in it is not text; export or copy it again")
        return model

    @property
    def metadata(self) -> dict[str, str]:
        """The ``metadata_props`` of the ONNX model; raises what ``model`` raises."""
        return {entry.key: entry.value for entry in self.model.metadata_props}

    def _content(self, expected: str) -> _Content:
        try:
            return self._read
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read ({error.strerror}); expected {expected}") from error

    @cached_property
    def _read(self) -> _Content:
        return _read(self.path)

    def _with_external_data(self, graph: ModelProto) -> str:
        model, known = ModelProto(), dict[Path, str]()
        model.CopyFrom(graph)
        for tensor in external_tensors(model):
            file, problem = locate(tensor, self.path)
            if problem is not None:
                raise UserError(f"{self.path}: {problem}; expected all files of the network: copy them together")
            if file not in known:
                known[file] = sha256(file)
            for entry in tensor.external_data:
                if entry.key == _LOCATION:
                    entry.value = known[file]
        return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def network_sha256(path: Path) -> str:
    """``NetworkFile.sha256`` of a file that the job asks nothing else of."""
    return NetworkFile(path).sha256


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


class _Content(NamedTuple):
    """Of one read: the sha256 of the file's bytes, its ONNX model, if it is one, and whether that has no other file."""

    sha256: str
    model: ModelProto | None
    own: bool


def _read(path: Path) -> _Content:
    with path.open("rb") as file:
        if not path.stat().st_size:
            return _Content(hashlib.file_digest(file, "sha256").hexdigest(), ModelProto(), True)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            model = _parsed(content) if _may_be_onnx(path, content) else None
            own = model is None or next(external_tensors(model), None) is None
            return _Content(hashlib.sha256(content).hexdigest(), _light(model) if model and own else model, own)


def _may_be_onnx(path: Path, content: mmap.mmap) -> bool:
    """Whether to parse it: most checkpoints need not be."""
    return kind_of(path) in (ONNX, None) or content.find(_LOCATION.encode()) >= 0


def _parsed(content: mmap.mmap) -> ModelProto | None:
    try:
        return ModelProto.FromString(content[:])
    except DecodeError:
        return None


def _light(model: ModelProto) -> ModelProto:
    """A copy without large values: their sizes are enough for counting. Only a copy gives the memory back."""
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > LARGEST_SHAPE_BYTES:
            tensor.ClearField("raw_data")
    light = ModelProto()
    light.CopyFrom(model)
    return light


def _texts(message: Message) -> Iterator[str | bytes]:
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            yield from [value] if isinstance(value, str | bytes) else value
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in [value] if isinstance(value, Message) else value:
                yield from _texts(inner)
