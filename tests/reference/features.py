"""Feature files of LFR 2019 by slow loops: one image, one frame, one number at a time."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

Embed = Callable[[np.ndarray], np.ndarray]
"""One RGB crop [112 112 3] to its embedding [d], in float64."""


def image_row(embed: Embed, crop: np.ndarray) -> np.ndarray:
    return unit(embed(crop) + embed(crop[:, ::-1]))


def video_row(embed: Embed, frames: Sequence[np.ndarray], by_length: bool = False) -> np.ndarray:
    total = np.zeros_like(embed(frames[0]))
    for frame in frames:
        found = embed(frame)
        total = total + (found if by_length else unit(found))
    return unit(total)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / sum(float(v) ** 2 for v in vector) ** 0.5


def read_file(path: Path) -> np.ndarray:
    """Rows [n d] of a file, number by number."""
    content = path.read_bytes()
    rows, cols, stride, kind = struct.unpack("=iiii", content[:16])
    assert (stride, kind, len(content)) == (4 * cols, 5, 16 + 4 * rows * cols)
    found = [struct.unpack_from("=f", content, 16 + 4 * place)[0] for place in range(rows * cols)]
    return np.array(found).reshape(rows, cols)
