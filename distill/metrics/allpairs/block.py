"""All pairs of one block of rows with another: strips that fit the memory, tiles shared by threads."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.metrics.allpairs.bands import Bands
from distill.metrics.allpairs.engine import Engine, Shape, threads_of_one_core
from distill.metrics.allpairs.exact_score import Rows
from distill.metrics.allpairs.pairing import LabelledFeatures, Pairing
from distill.metrics.allpairs.rescore import Sides
from distill.metrics.allpairs.tiles import EVERYWHERE, DeviceTiles, HostTiles, Tiles
from distill.metrics.allpairs.worker import BlockScores, Keeping, Worker


class Scorer:
    """Scores blocks of a pairing. ``tiles`` are the places where tiles are multiplied, one for each thread."""

    def __init__(self, pairing: Pairing, bands: Bands, keeping: Keeping | None, engine: Engine, shape: Shape) -> None:
        self._pairing, self._bands, self._keeping, self._shape = pairing, bands, keeping, shape
        device = torch.device(engine.device)
        on_host = device.type == "cpu"
        self.tiles: Sequence[Tiles] = [
            HostTiles(shape.tile) if on_host else DeviceTiles(device) for _ in range(shape.threads)
        ]
        self._left: Strip | None = None

    def score(self, left: range, right: range) -> BlockScores:
        """Score all pairs of these rows."""
        workers = [Worker(tiles, self._bands, self._keeping) for tiles in self.tiles]
        with threads_of_one_core(len(workers)) as pool:
            for a, b in self._strips(left, right, pool):
                todo = Shared(self._tiles(a, b))
                persons = ByPerson(a, self._shape.tile), ByPerson(b, self._shape.tile)
                for done in [pool.submit(self._work, worker, todo, (a, b), persons) for worker in workers]:
                    # raises what a thread raised; also a barrier: the strips are replaced next
                    done.result()
        return BlockScores(workers, self._bands)

    def _work(
        self, worker: Worker, todo: Shared, strips: tuple[Strip, Strip], persons: tuple[ByPerson, ByPerson]
    ) -> None:
        """One thread's loop: takes tiles of two strips until none are left."""
        a, b = strips
        while (tile := todo.next()) is not None:
            products = worker.tiles.multiply(a.held[tile.top : tile.bottom], b.held[tile.start : tile.end])
            # column j of the tile is counted in row i if j > i + beyond: above the diagonal of the whole matrix
            beyond = a.first + tile.top - b.first - tile.start if self._pairing.probes is None else EVERYWHERE
            by_person = persons[0].of(tile.top), persons[1].of(tile.start)
            worker.take(products, tile.sides(a, b), by_person, beyond)

    def _strips(self, left: range, right: range, pool: ThreadPoolExecutor) -> Iterator[tuple[Strip, Strip]]:
        size = self._shape.strip
        for top, start in itertools.product(left[::size], right[::size]):
            bottom, end = min(top + size, left.stop), min(start + size, right.stop)
            if self._pairing.probes is None and end <= top:
                continue  # below the diagonal
            # the right side varies faster, so the left strip is loaded once for all of its partners
            if self._left is None or (self._left.first, len(self._left.rows)) != (top, bottom - top):
                self._left = self._load(self._pairing.gallery, 0, range(top, bottom), pool)
            same = self._pairing.probes is None and (top, bottom) == (start, end)
            yield self._left, self._left if same else self._load(self._pairing.right, 1, range(start, end), pool)

    def _load(self, faces: LabelledFeatures, side: int, rows: range, pool: ThreadPoolExecutor) -> Strip:
        unit = np.empty((len(rows), self._pairing.columns), np.float32)
        # ceiling, so that every thread has one piece
        piece = max(1, -(-len(rows) // self._shape.threads))

        def fill(first: int) -> None:
            end = min(first + piece, rows.stop)
            unit[first - rows.start : end - rows.start] = faces.unit(first, end)

        # `list` waits, and raises what a thread raised
        list(pool.map(fill, rows[::piece]))
        return Strip(rows.start, unit, self.tiles[0].hold(unit), self._pairing.persons[side][rows.start : rows.stop])

    def _tiles(self, a: Strip, b: Strip) -> Iterator[Tile]:
        size, below = self._shape.tile, self._pairing.probes is None
        for top in range(0, len(a.rows), size):
            for start in range(0, len(b.rows), size):
                tile = Tile(top, min(top + size, len(a.rows)), start, min(start + size, len(b.rows)))
                # its last column lies on or below its first row's diagonal: no pair in it
                if not (below and b.first + tile.end <= a.first + top + 1):
                    yield tile


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
        """Rows, persons and first row numbers of both sides."""
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
    """The persons of a strip in ascending order, tile by tile, with their rows; sorted once for all its tiles."""

    def __init__(self, strip: Strip, size: int) -> None:
        starts = range(0, len(strip.rows), size)
        self._order = {s: np.argsort(strip.persons[s : s + size], kind="stable") for s in starts}
        self._sorted = {s: strip.persons[s : s + size][self._order[s]] for s in starts}

    def of(self, start: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        return self._sorted[start], self._order[start]
