"""Writes a training folder in InsightFace's layout, byte for byte as MXNet's own writer would.

Images have keys from 1, labels ``[class, 1]`` and their key as id; an empty record for each identity follows them, and
the header of key 0 comes last.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from distill.data.records import MAGIC
from distill.types import CROP_PX

_MAGIC_BYTES = struct.pack("<I", MAGIC)


class RecordWriter:
    """Fills ``train.rec``, ``train.idx`` and ``property`` below ``root``; the images of a person come in a row."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._records = (root / "train.rec").open("wb")
        self._index: list[str] = []
        self._begins = [1]
        self._next_key = 1

    def person(self, images: Iterable[bytes]) -> None:
        """Append the encoded images of the next class."""
        for image in images:
            self._write(self._next_key, [len(self._begins) - 1, 1], image)
            self._next_key += 1
        self._begins.append(self._next_key)

    def close(self) -> None:
        """Write what depends on the number of images: identities, header, index and property."""
        classes, first_identity = len(self._begins) - 1, self._next_key
        for label, (begin, end) in enumerate(zip(self._begins[:-1], self._begins[1:], strict=True)):
            self._write(first_identity + label, [begin, end], b"")
        self._write(0, [first_identity, first_identity + classes], b"")
        self._records.close()
        (self._root / "train.idx").write_text("".join(self._index))
        (self._root / "property").write_text(f"{classes},{CROP_PX},{CROP_PX}")

    def _write(self, key: int, labels: list[int], image: bytes) -> None:
        self._index.append(f"{key}\t{self._records.tell()}\n")
        head = struct.pack("<IfQQ", len(labels), 0.0, key, 0) + struct.pack(f"<{len(labels)}f", *labels)
        self._records.write(framed(head + image))


def framed(payload: bytes) -> bytes:
    """A payload as one record, in parts wherever an aligned word of it is the magic; the cut takes the magic away."""
    parts, begin = [], 0
    at = payload.find(_MAGIC_BYTES)
    while at >= 0:
        if at % 4 == 0:
            parts.append(payload[begin:at])
            begin = at + 4
        at = payload.find(_MAGIC_BYTES, at + 4 if at % 4 == 0 else at + 1)
    parts.append(payload[begin:])
    flags = [0] if len(parts) == 1 else [1, *[2] * (len(parts) - 2), 3]
    return b"".join(
        struct.pack("<II", MAGIC, (flag << 29) + len(part)) + part + bytes(-len(part) % 4)
        for flag, part in zip(flags, parts, strict=True)
    )
