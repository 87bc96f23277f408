"""Checksummed files of arrays: safetensors whose metadata hold a sha256 of their contents.

The metadata name the owner of the file, and the sha256 covers the arrays and their places in the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from safetensors.numpy import save

from distill.errors import UserError
from distill.files.foreign import foreign
from distill.files.kinds import EMPTY, SAFETENSORS, SIGNALS

SEAL = "sha256"
_DTYPES = {"F16": np.dtype("<f2"), "F64": np.dtype("<f8"), "U64": np.dtype("<u8")}
_LENGTH_BYTES = _ALIGN_BYTES = 8
_MOST_HEADER_BYTES = 1 << 20
_PIECE_BYTES = 1 << 20


class DamagedFile(UserError):
    """A file that is missing, incomplete or not the expected one; the message names it and the reason."""


def sealed(arrays: Mapping[str, np.ndarray], belongs: Mapping[str, str]) -> bytes:
    """The bytes of a file with these arrays (float16, float64 or uint64) and the owner ``belongs``."""
    plain = save(dict(arrays))
    end = _LENGTH_BYTES + struct.unpack_from("<Q", plain)[0]
    entries = json.loads(plain[_LENGTH_BYTES:end])
    metadata = {**belongs, SEAL: _seal(entries, io.BytesIO(plain[end:]))}
    # The library writes metadata in any order; sorted, so that the same arrays give the same bytes.
    header = json.dumps({"__metadata__": metadata, **entries}, sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % _ALIGN_BYTES)  # arrays start at a multiple of 8, as uint64 views need
    return struct.pack("<Q", len(header)) + header + plain[end:]


def open_sealed(path: Path, belongs: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The arrays of a file, mapped into memory; checks everything but the contents. Raises ``DamagedFile``."""
    header, start = _read_header(path)
    metadata = header.pop("__metadata__")
    for key, value in belongs.items():
        if metadata.get(key) != value:
            raise DamagedFile(
                f"{path}: is of another store: its {key} is {str(metadata.get(key))[:12]}, not {value[:12]}"
            )
    size = path.stat().st_size - start
    begins, ends = zip(*sorted(entry["data_offsets"] for entry in header.values()), strict=True)
    # sorted by place, each array begins where the one before ends, and the last ends with the file
    if (0, *ends) != (*begins, size):
        raise DamagedFile(f"{path}: has {size} bytes of arrays; expected {ends[-1]}: truncated?")
    mapped = np.memmap(path, np.uint8, "r", start)  # one map for all arrays: each map holds a file descriptor
    try:
        return {
            name: mapped[slice(*entry["data_offsets"])].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
            for name, entry in header.items()
        }
    except ValueError as error:
        raise DamagedFile(f"{path}: has a damaged header") from error


def verify_sealed(path: Path) -> None:
    """Check every byte of a file that ``open_sealed`` accepts. Raises ``DamagedFile``."""
    header, start = _read_header(path)
    written = header.pop("__metadata__").get(SEAL)
    with path.open("rb") as file:
        file.seek(start)
        found = _seal(header, file)
    if found != written:
        raise DamagedFile(f"{path}: its contents are not those that were written (sha256 {found[:12]}...)")


def _seal(entries: Mapping[str, Any], contents: IO[bytes]) -> str:
    """Sha256 of a header's entries in sorted order, and of the bytes that follow it."""
    digest = hashlib.sha256(json.dumps(entries, sort_keys=True).encode())
    while piece := contents.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The JSON header of a safetensors file and the place where its arrays begin."""
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(_LENGTH_BYTES))[0]
            header = json.loads(file.read(min(length, _MOST_HEADER_BYTES)))  # a damaged length may be exabytes
    except FileNotFoundError:
        raise DamagedFile(f"{path}: is missing") from None
    except (struct.error, ValueError, RecursionError) as error:
        problem = foreign(path, "a file of stored teacher outputs", SIGNALS, SAFETENSORS, EMPTY)
        raise DamagedFile(problem or f"{path}: has no safetensors header") from error
    if not _sane(header):
        raise DamagedFile(f"{path}: has a damaged header")
    return header, _LENGTH_BYTES + length


def _sane(header: object) -> bool:
    """Whether a header has the fields that are read, with their types."""
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__"), dict):
        return False
    entries = [entry for name, entry in header.items() if name != "__metadata__"]
    return bool(entries) and all(isinstance(e, dict) and _sane_entry(e) for e in entries)


def _sane_entry(entry: Mapping[str, Any]) -> bool:
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    whole = [isinstance(v, list) and all(isinstance(n, int) and n >= 0 for n in v) for v in (shape, offsets)]
    return entry.get("dtype") in _DTYPES and all(whole) and len(offsets or ()) == 2
