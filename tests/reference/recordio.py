"""A slow RecordIO writer, a word at a time, from the description of the format."""

from __future__ import annotations

import struct
from pathlib import Path

MAGIC = struct.pack("<I", 0xCED7230A)


def payload(image: bytes, label: float | list[float], record_id: int = 0) -> bytes:
    """Header, labels, image."""
    if isinstance(label, list):
        return struct.pack("<IfQQ", len(label), 0.0, record_id, 0) + struct.pack(f"<{len(label)}f", *label) + image
    return struct.pack("<IfQQ", 0, label, record_id, 0) + image


def record(content: bytes) -> bytes:
    """Frame a payload, cut where an aligned word of it is the magic; the cut takes the magic away."""
    parts, begin = [], 0
    for at in range(0, len(content) - 3, 4):
        if content[at : at + 4] == MAGIC:
            parts.append(content[begin:at])
            begin = at + 4
    parts.append(content[begin:])
    flags = [0] if len(parts) == 1 else [1, *[2] * (len(parts) - 2), 3]
    framed = b""
    for cflag, part in zip(flags, parts, strict=True):
        framed += MAGIC + struct.pack("<I", (cflag << 29) + len(part)) + part + bytes(-len(part) % 4)
    return framed


def write_set(root: Path, payloads: dict[int, bytes], classes: int) -> Path:
    """A training folder of records in the order of the dictionary."""
    root.mkdir(parents=True, exist_ok=True)
    content, index = b"", ""
    for key, one in payloads.items():
        index += f"{key}\t{len(content)}\n"
        content += record(one)
    (root / "train.rec").write_bytes(content)
    (root / "train.idx").write_text(index)
    (root / "property").write_text(f"{classes},112,112")
    return root
