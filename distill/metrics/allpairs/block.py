"""All pairs of one block of rows with another: strips that fit the memory, tiles shared by threads."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.metrics.allpairs.bands import Bands
from distill.metrics.allpairs.engine import Engine, Shape
from distill.metrics.allpairs.pairing import Faces, Pairing
from distill.metrics.allpairs.settle import (
    GENUINE,
    IMPOSTOR,
    PIECE,
    Scored,
    Sides,
    empty,
    genuine_places,
    levels,
    score_places,
    settle,
    settle_counted,
    thinned,
)
from distill.metrics.allpairs.steps import Counted, Steps, distinct, steps
from distill.metrics.allpairs.tiles import (
    EVERYWHERE,
    DeviceTiles,
    HostTiles,
    Sifted,
    Tiles,
)
from distill.metrics.allpairs.unit import Rows

KEPT = np.dtype([("score", "f8"), ("left", "i4"), ("right", "i4"), ("genuine", "?")])
"""A pair that is kept with its rows, for the bootstrap."""

_COMPRESS = 1 << 20
"""Scores that a thread collects before equal ones are counted together."""


@dataclass(frozen=True)
class Keeping:
    """Which pairs are kept with their rows: impostors from a score on, at most so many, and a share of the genuine."""

    from_score: float
    most: int
    genuine_share: float


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

    def score(self, left: range, right: range) -> Scores:
        """Score all pairs of these rows."""
        workers = [_Worker(tiles, self._bands, self._keeping) for tiles in self.tiles]
        with ThreadPoolExecutor(len(workers)) as pool:
            for a, b in self._strips(left, right, pool):
                todo = _Shared(self._tiles(a, b))
                beyond = a.first - b.first if self._pairing.probes is None else EVERYWHERE
                persons = _ByPerson(a, self._shape.tile), _ByPerson(b, self._shape.tile)
                list(pool.map(lambda worker: worker.work(todo, (a, b), persons, beyond), workers))  # noqa: B023
        return Scores(workers, self._bands)

    def _strips(self, left: range, right: range, pool: ThreadPoolExecutor) -> Iterator[tuple[Strip, Strip]]:
        size = self._shape.strip
        for top, start in itertools.product(left[::size], right[::size]):
            bottom, end = min(top + size, left.stop), min(start + size, right.stop)
            if self._pairing.probes is None and end <= top:
                continue  # below the diagonal
            if self._left is None or (self._left.first, len(self._left.rows)) != (top, bottom - top):
                self._left = self._load(self._pairing.gallery, 0, range(top, bottom), pool)
            same = self._pairing.probes is None and (top, bottom) == (start, end)
            yield self._left, self._left if same else self._load(self._pairing.right, 1, range(start, end), pool)

    def _load(self, faces: Faces, side: int, rows: range, pool: ThreadPoolExecutor) -> Strip:
        unit = np.empty((len(rows), self._pairing.columns), np.float32)
        piece = max(1, -(-len(rows) // self._shape.threads))

        def fill(first: int) -> None:
            end = min(first + piece, rows.stop)
            unit[first - rows.start : end - rows.start] = faces.unit(first, end)

        list(pool.map(fill, rows[::piece]))
        return Strip(rows.start, unit, self.tiles[0].hold(unit), self._pairing.persons[side][rows.start : rows.stop])

    def _tiles(self, a: Strip, b: Strip) -> Iterator[Tile]:
        size, below = self._shape.tile, self._pairing.probes is None
        for top in range(0, len(a.rows), size):
            for start in range(0, len(b.rows), size):
                tile = Tile(top, min(top + size, len(a.rows)), start, min(start + size, len(b.rows)))
                if not (below and b.first + tile.end <= a.first + top + 1):
                    yield tile


class _Shared:
    """An iterator that several threads take from."""

    def __init__(self, tiles: Iterator[Tile]) -> None:
        self._tiles, self._lock = tiles, Lock()

    def next(self) -> Tile | None:
        with self._lock:
            return next(self._tiles, None)


class _ByPerson:
    """The persons of a strip in ascending order, tile by tile, with the rows that they are at."""

    def __init__(self, strip: Strip, size: int) -> None:
        starts = range(0, len(strip.rows), size)
        self._order = {s: np.argsort(strip.persons[s : s + size], kind="stable") for s in starts}
        self._sorted = {s: strip.persons[s : s + size][self._order[s]] for s in starts}

    def of(self, start: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        return self._sorted[start], self._order[start]


class _Worker:
    """One thread's share of a block: counts by kind and zone, the scores within bands, and the kept pairs."""

    def __init__(self, tiles: Tiles, bands: Bands, keeping: Keeping | None) -> None:
        self.counts = np.zeros((2, 2 * len(bands.low) + 1), np.int64)
        self.scored: tuple[list[Counted], list[Counted]] = ([], [])
        self.kept: list[NDArray] = []
        self._tiles, self._bands, self._keeping = tiles, bands, keeping
        self._cuts, self._levels = bands.cuts, levels(bands)
        self._room, self._places = empty(PIECE), np.empty(0, np.int32)
        self._found: list[Scored] = []
        self._loose, self._tail = 0, 0

    def work(
        self, todo: _Shared, strips: tuple[Strip, Strip], persons: tuple[_ByPerson, _ByPerson], beyond: int
    ) -> None:
        """Tiles of two strips, as long as there are any."""
        a, b = strips
        while (tile := todo.next()) is not None:
            at = max(beyond + tile.top - tile.start, EVERYWHERE)
            products = self._tiles.multiply(a.held[tile.top : tile.bottom], b.held[tile.start : tile.end])
            sifted = self._tiles.sift(products, at, self._cuts)
            sides = Sides(
                a.rows[tile.top : tile.bottom],
                b.rows[tile.start : tile.end],
                a.persons[tile.top : tile.bottom],
                b.persons[tile.start : tile.end],
                (a.first + tile.top, b.first + tile.start),
            )
            self._settle(sifted, sides)
            if len(self._places) < products.numel():
                self._places = np.empty(products.numel(), np.int32)
            found = genuine_places(persons[0].of(tile.top), persons[1].of(tile.start), at, self._places)
            self._genuine(products, sifted, sides, self._places[:found])

    def _settle(self, sifted: Sifted, sides: Sides) -> None:
        for start in range(0, len(sifted.places), PIECE):
            end = min(start + PIECE, len(sifted.places))
            some = Sifted((), sifted.places[start:end], sifted.products[start:end])
            found = settle(some, sides, self._levels, self.counts, self._room)
            self._found.append(Scored(*(values[:found].copy() for values in self._room)))
            self._loose += found
        if self._loose > _COMPRESS:
            self.fold()
            for parts in self.scored:
                parts[:] = [distinct(parts)]

    def _genuine(self, products: Tensor, sifted: Sifted, sides: Sides, places: NDArray[np.int32]) -> None:
        """Settle what was counted without a look, of which only the genuine pairs are known, and keep these."""
        values = products.view(-1)[torch.from_numpy(places).to(products.device)].cpu().numpy()
        settle_counted(sifted, values, self._cuts, self.counts)
        if self._keeping is None or not len(places):
            return
        chosen = np.empty(len(places), np.int32)
        chosen = chosen[: thinned(places, len(sides.right), sides.first, self._keeping.genuine_share, chosen)]
        room = empty(len(chosen))
        score_places(chosen, sides, room)
        self.kept.append(_table(room))

    def fold(self) -> None:
        """Sort by kind what was found since the last time, and keep what is to be kept of it."""
        if not self._found:
            return
        found = Scored(*(np.concatenate(values) for values in zip(*self._found, strict=True)))
        self._found, self._loose = [], 0
        for kind, parts in enumerate(self.scored):
            scores = found.score[found.genuine == bool(kind)]
            parts.append((scores, np.ones(len(scores), np.int64)))
        if self._keeping is None:
            return
        tail = ~found.genuine & (found.score >= self._keeping.from_score)
        self._tail += np.count_nonzero(tail)
        if self._tail <= self._keeping.most:  # one more than that, and nobody wants them
            self.kept.append(_table(Scored(*(values[tail] for values in found))))


def _table(scored: Scored) -> NDArray:
    table = np.empty(len(scored.score), KEPT)
    for name, values in zip(("score", "left", "right", "genuine"), scored, strict=True):
        table[name] = values
    return table


class Scores:
    """What the threads found in one block."""

    def __init__(self, workers: Sequence[_Worker], bands: Bands) -> None:
        self._workers, self._bands = workers, bands

    def together(self) -> tuple[Steps, NDArray]:
        """The step function of the block's pairs, and the pairs that are kept. Sorting takes a while, on one core."""
        for worker in self._workers:
            worker.fold()
        counts = np.sum([worker.counts for worker in self._workers], axis=0)
        none = (np.empty(0), np.empty(0, np.int64))
        impostor, genuine = (
            distinct([none, *(part for worker in self._workers for part in worker.scored[kind])])
            for kind in (IMPOSTOR, GENUINE)
        )
        kept = np.concatenate([np.empty(0, KEPT), *(table for worker in self._workers for table in worker.kept)])
        return steps(self._bands, counts, (impostor, genuine)), kept
