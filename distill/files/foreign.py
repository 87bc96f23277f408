"""The real format of a file, by its first bytes and not its name: for readers that have to refuse it.

    raise UserError(foreign(path, "an ONNX file", ONNX) or f"{path} is cut short; copy it again")

Formats are recognised by signatures; those without one by fields that their header must have. Nothing is unpickled,
unpacked or run.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import struct
import zipfile
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.files.kinds import (
    CENTRES,
    CHECKPOINT,
    CUT_CHECKPOINT,
    CUT_ZIP,
    EMPTY,
    EXPORTED,
    FEATURES,
    FOLDER,
    HTML,
    JSON,
    KERAS,
    LIGHTNING,
    MXNET_GRAPH,
    NUMPY_ZIP,
    OFFICE,
    ONNX,
    PICKLE,
    PICTURES,
    RUN_FOLDER,
    SAFETENSORS,
    SIGNALS,
    SIGNATURES,
    TENSORFLOW,
    TEXT,
    TEXT_SIGNATURES,
    TORCHSCRIPT,
    ZEROS,
    ZIP,
    FileKind,
)

_HEAD_BYTES = 4096
_MOST_JSON_BYTES = 1 << 20
_MOST_PICKLE_BYTES = 1 << 24


_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_HTML = re.compile(rb"(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body|script|meta|title)\b", re.IGNORECASE | re.DOTALL)
_OLD_PICKLE = re.compile(rb"\(+[ld]p\d+\r?\n|\(+\]q|\]q|\}q|c__builtin__\n|ccopy_reg\n")
_MODEL_TAGS = b"\x12\x1a\x22\x28\x32\x3a\x42\x72"
"""Protobuf tags of ModelProto that may follow its ir_version."""


def foreign(path: Path, expected: str, *own: FileKind) -> str | None:
    """One line that names what ``path`` really is and what to do; None where that is one of ``own``, or unknown."""
    kind = kind_of(path)
    if kind is None or kind in own:
        return None
    names = {"path": _Name(path), "folder": _Name(path.parent), "name": _Name(path.name)}
    advice = kind.advice.format(**names)
    return f"{path} is not {expected}, but {kind.words}" + (f": {advice}" if advice else "")


def refuse_foreign(path: Path, expected: str, *own: FileKind) -> None:
    """Raise UserError for a file that is known and none of ``own``: for readers that a wrong file would not stop."""
    if problem := foreign(path, expected, *own):
        raise UserError(problem)


class _Name(str):
    """A name for an advice: quoted for a shell by default, for Python by ``!r``."""

    __slots__ = ()

    def __format__(self, _: str) -> str:
        return shlex.quote(str(self))


def kind_of(source: Path | bytes) -> FileKind | None:
    """The kind of a file or of its bytes; None if it is unknown or missing."""
    if isinstance(source, bytes):
        return _kind(source[:_HEAD_BYTES], len(source), source)
    if source.is_dir():
        ours = any((source / name).exists() for name in ("student.onnx", "student.safetensors", "checkpoints"))
        return RUN_FOLDER if ours else FOLDER
    if not source.is_file():
        return None
    try:
        with source.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    return _kind(head, source.stat().st_size, source)


def _kind(head: bytes, size: int, source: Path | bytes) -> FileKind | None:
    if not size:
        return EMPTY
    if _is_text(head):
        return _text_kind(head.removeprefix(b"\xef\xbb\xbf").lstrip(), size, source)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return _zip_kind(head, source)
    # First formats that begin with a count, whose bytes may equal any signature.
    counted = FEATURES if _is_feature_header(head) else _safetensors_kind(head)
    signed = (kind for place, signature, kind in SIGNATURES if head.startswith(signature, place))
    return counted or next(signed, None) or _header_kind(head)


def _header_kind(head: bytes) -> FileKind | None:
    """Formats without a signature, by what their headers must hold."""
    if not head.strip(b"\0"):
        return ZEROS
    if re.match(rb"BM.{4}\0{4}", head, re.DOTALL):
        return PICTURES["BMP"]
    if re.match(rb"\x80[\x01-\x05]", head) or _OLD_PICKLE.match(head):  # protocols 2 to 5, and 0 and 1
        return PICKLE
    return _protobuf_kind(head)


def _is_feature_header(head: bytes) -> bool:
    if len(head) < 16:
        return False
    rows, cols, stride, kind = struct.unpack_from("=4i", head)
    return rows > 0 and cols > 0 and stride == 4 * cols and kind == 5


def _safetensors_kind(head: bytes) -> FileKind | None:
    if len(head) < 10 or head[8:9] != b"{":
        return None
    length = struct.unpack_from("<Q", head)[0]
    if not (2 <= length <= 100_000_000 and (b'"dtype"' in head or b'"__metadata__"' in head or length == 2)):
        return None
    metadata = re.search(rb'"__metadata__":\{.*?\}', head[8:], re.DOTALL)
    owner = metadata[0] if metadata else b""
    if b'"manifest"' in owner and b'"sha256"' in owner:
        return SIGNALS
    return CENTRES if b'"centres"' in owner else SAFETENSORS


def _protobuf_kind(head: bytes) -> FileKind | None:
    """ONNX and TensorFlow write protocol buffers, which begin with the tag of their first field."""
    if len(head) > 3 and head[0] == 0x08 and 1 <= head[1] < 128 and head[2] in _MODEL_TAGS:
        saved_model = head[1] == 1 and head[2] == 0x12 and head[3] >= 128
        return TENSORFLOW if saved_model else ONNX
    known = (b"Placeholder", b"\x12\x05Const", b"VarHandleOp")
    return TENSORFLOW if head[:1] == b"\x0a" and any(name in head for name in known) else None


def _is_text(head: bytes) -> bool:
    """Whether the beginning of a file is UTF-8; a character that the end of the head cuts is no fault."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if len(head) < _HEAD_BYTES or error.start < len(head) - 3:
            return False
    return not _BINARY.search(head)


def _text_kind(plain: bytes, size: int, source: Path | bytes) -> FileKind:
    if _HTML.match(plain):
        return HTML
    if _OLD_PICKLE.match(plain):
        return PICKLE
    known = (kind for signature, kind in TEXT_SIGNATURES if plain.startswith(signature))
    return next(known, None) or _json_kind(plain, size, source) or TEXT


def _json_kind(plain: bytes, size: int, source: Path | bytes) -> FileKind | None:
    if not plain.startswith((b"{", b"[")) or size > _MOST_JSON_BYTES:
        return None
    try:
        content: Any = json.loads(source if isinstance(source, bytes) else source.read_bytes())
    except (ValueError, RecursionError, OSError):
        return None
    return MXNET_GRAPH if isinstance(content, dict) and {"nodes", "arg_nodes"} <= content.keys() else JSON


def _zip_kind(head: bytes, source: Path | bytes) -> FileKind | None:
    """By the names in it; torch writes its checkpoints and programs as zip archives."""
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            names = archive.namelist()
            pickled = next((name for name in names if name.endswith("/data.pkl")), None)
            if pickled is None or any(name.endswith("/constants.pkl") for name in names):
                return _by_names(names)
            lightning = b"pytorch-lightning_version" in archive.open(pickled).read(_MOST_PICKLE_BYTES)
            return LIGHTNING if lightning else CHECKPOINT
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, RuntimeError):
        return CUT_CHECKPOINT if b"/data.pkl" in head or b"/data/0" in head else CUT_ZIP


def _by_names(names: list[str]) -> FileKind:
    if any(name.endswith("/constants.pkl") for name in names):
        return TORCHSCRIPT
    if any("serialized_exported_program" in name or name.endswith("archive_format") for name in names):
        return EXPORTED
    if names and all(name.endswith(".npy") for name in names):
        return NUMPY_ZIP
    if "[Content_Types].xml" in names:
        return OFFICE
    return KERAS if "model.weights.h5" in names else ZIP
