"""Stretches of rows that are in memory at once, and the tiles that threads make of their pairs."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from distill.metrics.allpairs.settle import Sides
from distill.metrics.allpairs.unit import Rows


class Strip(NamedTuple):
    """Unit rows [k d] of one side of a block, on the host and where products are made."""

    first: int
    rows: Rows
    held: Tensor
    persons: NDArray[np.int32]


class Tile(NamedTuple):
    """Rows [top, bottom) of the left strip with rows [start, end) of the right one."""

    top: int
    bottom: int
    start: int
    end: int

    def sides(self, a: Strip, b: Strip) -> Sides:
        """What is known of its rows."""
        return Sides(
            a.rows[self.top : self.bottom],
            b.rows[self.start : self.end],
            a.persons[self.top : self.bottom],
            b.persons[self.start : self.end],
            (a.first + self.top, b.first + self.start),
        )


class Shared:
    """An iterator that several threads take from."""

    def __init__(self, tiles: Iterator[Tile]) -> None:
        self._tiles, self._lock = tiles, Lock()

    def next(self) -> Tile | None:
        with self._lock:
            return next(self._tiles, None)


class ByPerson:
    """The persons of a strip in ascending order, tile by tile, with the rows that they are at."""

    def __init__(self, strip: Strip, size: int) -> None:
        starts = range(0, len(strip.rows), size)
        self._order = {s: np.argsort(strip.persons[s : s + size], kind="stable") for s in starts}
        self._sorted = {s: strip.persons[s : s + size][self._order[s]] for s in starts}

    def of(self, start: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        return self._sorted[start], self._order[start]
