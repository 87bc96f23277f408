"""The feature binary of LFR 2019: a header of 16 bytes, then one float32 row for each line of the list.

The header is four native-endian int32: rows, columns, bytes of a row (4 * columns), and OpenCV's number for a matrix of
float32, 5. Source: ``challenges/iccv19-lfr/gen_image_feature.py`` of deepinsight/insightface.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distill.errors import UserError
from distill.files.foreign import foreign
from distill.files.kinds import EMPTY, FEATURES

HEADER_BYTES = 16
CV_32F = 5
MOST_INT32 = (1 << 31) - 1
NORM_TOLERANCE = 1e-3
"""Tolerance of unit length, for rows of other writers, perhaps from half precision."""

_HEADER = "=4i"
_ITEM_BYTES = 4
_CHUNK_BYTES = 64 << 20


def header(rows: int, cols: int) -> bytes:
    """The 16 bytes before the first row; ``UserError`` where a number is beyond int32."""
    if not (0 < rows <= MOST_INT32 and 0 < _ITEM_BYTES * cols <= MOST_INT32):
        raise UserError(
            f"a feature file of {rows:,} rows and {cols:,} columns cannot be written: its header has int32 numbers, "
            f"so expected 1 to {MOST_INT32:,} rows and 1 to {MOST_INT32 // _ITEM_BYTES:,} columns: split the list"
        )
    return struct.pack(_HEADER, rows, cols, _ITEM_BYTES * cols, CV_32F)


def file_bytes(rows: int, cols: int) -> int:
    """Size of a complete file."""
    return HEADER_BYTES + _ITEM_BYTES * rows * cols


def open_features(path: Path, rows: int | None = None) -> NDArray[np.float32]:
    """The rows [n d] float32, mapped and not read; ``rows`` is how many there have to be, if that is known.

    ``UserError`` for a header that is none, another number of rows, and a file that is shorter or longer than it says.
    """
    found, cols = _read_header(path)
    size, expected = path.stat().st_size, file_bytes(found, cols)
    if size != expected:
        raise UserError(f"{path}: {_wrong_size(size, found, cols)}: copy or write it again")
    if rows is not None and rows != found:
        raise UserError(f"{path}: has {found:,} rows; expected {rows:,}, one for each line of the list")
    return np.memmap(path, np.float32, "r", HEADER_BYTES, (found, cols))


def verify_features(
    path: Path, rows: int | None = None, progress: Callable[[int], None] | None = None, empty: Collection[int] = ()
) -> None:
    """Read a file in pieces and raise ``UserError`` for the first row that is not a finite unit vector.

    ``empty`` are the rows of faces that cannot be read: all zeros. ``progress`` is called with the number of rows of
    each piece.
    """
    features = open_features(path, rows)
    wanted = np.ones(len(features))
    wanted[list(empty)] = 0
    for first, piece in _pieces(features):
        length = np.sqrt(np.einsum("nd,nd->n", piece, piece, dtype=np.float64))
        # ~(<=) and not >: NaN must count as bad
        bad = np.flatnonzero(~(np.abs(length - wanted[first : first + len(piece)]) <= NORM_TOLERANCE))
        if len(bad):
            raise UserError(f"{path}: row {first + bad[0]:,} of {len(features):,} {_fault(piece[bad[0]])}")
        if progress is not None:
            progress(len(piece))


def _pieces(features: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Chunks of rows with the number of their first row."""
    step = max(1, _CHUNK_BYTES // (_ITEM_BYTES * features.shape[1]))
    for first in range(0, len(features), step):
        yield first, features[first : first + step]


def _fault(row: NDArray[np.float32]) -> str:
    """What is wrong with a row that is no unit vector; rows are counted from 0."""
    if not np.isfinite(row).all():
        return f"has {row[~np.isfinite(row)][0]} in column {int(np.argmin(np.isfinite(row)))}; expected finite numbers"
    length = float(np.sqrt((row.astype(np.float64) ** 2).sum()))
    return f"has length {length:.6g}; expected a unit vector"


def _read_header(path: Path) -> tuple[int, int]:
    try:
        with path.open("rb") as file:
            first = file.read(HEADER_BYTES)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected a feature file") from None
    if problem := foreign(path, "a feature file", FEATURES, EMPTY):
        raise UserError(problem)
    if len(first) < HEADER_BYTES:
        raise UserError(f"{path}: has {len(first)} bytes; expected a header of {HEADER_BYTES} and rows of float32")
    rows, cols, stride, kind = struct.unpack(_HEADER, first)
    if rows < 1 or cols < 1 or stride != _ITEM_BYTES * cols or kind != CV_32F:
        # with bytes swapped, does it make sense? Then the other byte order is the cause
        turned = struct.unpack(_HEADER, np.frombuffer(first, np.int32).byteswap().tobytes())
        hint = ": written on a machine of the other byte order" if turned[3] == CV_32F else ""
        raise UserError(
            f"{path}: begins with the numbers {rows}, {cols}, {stride}, {kind}; expected rows, columns, "
            f"{_ITEM_BYTES} times the columns, and {CV_32F}{hint}"
        )
    return rows, cols


def _wrong_size(size: int, rows: int, cols: int) -> str:
    expected = file_bytes(rows, cols)
    if size > expected:
        return f"has {size - expected:,} bytes after the last of its {rows:,} rows"
    held = (size - HEADER_BYTES) // (_ITEM_BYTES * cols)
    return f"is truncated: it holds {held:,} complete rows of {rows:,} ({size:,} of {expected:,} bytes)"
