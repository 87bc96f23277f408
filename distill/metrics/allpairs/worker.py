"""One thread's results over its tiles, and the results of all threads in a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.metrics.allpairs.bands import Bands
from distill.metrics.allpairs.cumulative import Counted, Steps, distinct, steps
from distill.metrics.allpairs.rescore import (
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
from distill.metrics.allpairs.tiles import Sifted, Tiles

ByRow = tuple[NDArray[np.int32], NDArray[np.int64]]
"""Persons in ascending order, and the rows of a tile that they are at."""

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


class Worker:
    """One thread's share of a block: counts by kind and zone, the scores within bands, and the kept pairs."""

    def __init__(self, tiles: Tiles, bands: Bands, keeping: Keeping | None) -> None:
        self.counts = np.zeros((2, 2 * len(bands.low) + 1), np.int64)  # kind x zone
        self.scored: tuple[list[Counted], list[Counted]] = ([], [])
        self.kept: list[NDArray] = []
        self.tiles, self._keeping = tiles, keeping
        self._cuts, self._levels = bands.cuts, levels(bands)
        self._room, self._places = empty(PIECE), np.empty(0, np.int32)
        self._found: list[Scored] = []
        self._loose, self._tail = 0, 0

    def take(self, products: Tensor, sides: Sides, by_person: tuple[ByRow, ByRow], beyond: int) -> None:
        """Count the products [m n] of a tile at column > row + ``beyond``; ``by_person`` sorts both of its sides."""
        sifted = self.tiles.sift(products, beyond, self._cuts)
        self._settle(sifted, sides)
        if len(self._places) < products.numel():
            self._places = np.empty(products.numel(), np.int32)
        found = genuine_places(*by_person, beyond, self._places)
        self._genuine(products, sifted, sides, self._places[:found])

    def _settle(self, sifted: Sifted, sides: Sides) -> None:
        for start in range(0, len(sifted.places), PIECE):
            end = min(start + PIECE, len(sifted.places))
            some = Sifted((), sifted.places[start:end], sifted.products[start:end])
            found = settle(some, sides, self._levels, self.counts, self._room)
            # copied: the buffer is reused for the next piece
            self._found.append(_joined([self._room.at(slice(found))]))
            self._loose += found
        # bounds the memory: equal scores become one score with a count
        if self._loose > _COMPRESS:
            self.fold()
            for parts in self.scored:
                parts[:] = [distinct(parts)]

    def _genuine(self, products: Tensor, sifted: Sifted, sides: Sides, places: NDArray[np.int32]) -> None:
        """Split the pairs that were counted in bulk by kind, with the known genuine ones, and keep a share of these."""
        values = products.view(-1)[torch.from_numpy(places).to(products.device)].cpu().numpy()
        settle_counted(sifted, values, self._cuts, self.counts)
        if self._keeping is None or not len(places):
            return
        chosen = np.empty(len(places), np.int32)
        # by a hash of the rows: the same pairs are kept whatever the tiles and threads
        chosen = chosen[: thinned(places, len(sides.right), sides.first, self._keeping.genuine_share, chosen)]
        room = empty(len(chosen))
        score_places(chosen, sides, room)
        self.kept.append(_table(room))

    def fold(self) -> None:
        """Sort the pairs found since the last call by kind, and keep those that the bootstrap needs."""
        if not self._found:
            return
        found = _joined(self._found)
        self._found, self._loose = [], 0
        for kind, parts in enumerate(self.scored):
            scores = found.score[found.genuine == bool(kind)]
            parts.append((scores, np.ones(len(scores), np.int64)))
        if self._keeping is None:
            return
        tail = ~found.genuine & (found.score >= self._keeping.from_score)
        self._tail += np.count_nonzero(tail)
        if self._tail <= self._keeping.most:  # with more the tail is incomplete, hence useless
            self.kept.append(_table(found.at(tail)))


def _joined(parts: Sequence[Scored]) -> Scored:
    """The pairs of several parts, copied."""
    return Scored(
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.left for part in parts]),
        np.concatenate([part.right for part in parts]),
        np.concatenate([part.genuine for part in parts]),
    )


def _table(scored: Scored) -> NDArray:
    table = np.empty(len(scored.score), KEPT)
    for name, values in zip(("score", "left", "right", "genuine"), scored, strict=True):
        table[name] = values
    return table


class BlockScores:
    """The results of all threads in one block."""

    def __init__(self, workers: Sequence[Worker], bands: Bands) -> None:
        self._workers, self._bands = workers, bands

    def together(self) -> tuple[Steps, NDArray]:
        """The step function of the block's pairs, and the pairs that are kept. Sorts on one core."""
        for worker in self._workers:
            worker.fold()
        counts = np.sum([worker.counts for worker in self._workers], axis=0)
        # so that there is always something to concatenate
        none = (np.empty(0), np.empty(0, np.int64))
        impostor, genuine = (
            distinct([none, *(part for worker in self._workers for part in worker.scored[kind])])
            for kind in (IMPOSTOR, GENUINE)
        )
        kept = np.concatenate([np.empty(0, KEPT), *(table for worker in self._workers for table in worker.kept)])
        return steps(self._bands, counts, (impostor, genuine)), kept
