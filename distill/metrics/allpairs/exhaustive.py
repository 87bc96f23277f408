"""Exhaustive scoring: exact counts of all pairs by score, and the hardest pairs of both kinds.

A score fits the 53 bits of float64 (``exact_score``), so a matrix product in float64 gives the scores themselves. That
is half as fast as the engine's float32, and gives more than thresholds: the complete curve, the histogram, and the
rows of the pairs that are furthest on the wrong side.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from distill.compiled import compiled
from distill.metrics.allpairs.engine import Engine, shape_for
from distill.metrics.allpairs.pairing import LabelledFeatures, Pairing
from distill.metrics.allpairs.rescore import GENUINE, IMPOSTOR
from distill.metrics.allpairs.worker import KEPT
from distill.metrics.roc import Histogram

BINS = 1 << 12
EDGES = np.linspace(-1, 1, BINS + 1)
"""Multiples of 2^-11: which bin a score is in is exact as well. A score just beyond ±1 counts at the ends."""


_TILE_ROWS = 512
_ALL = 1 << 40


@dataclass(frozen=True, eq=False)
class Survey:
    """``counts`` [2 BINS] of impostor and genuine pairs with EDGES[i] <= score < EDGES[i + 1].

    ``impostors`` and ``genuine`` are tables of ``KEPT`` with the pairs that score highest, and lowest, the worst first;
    equal scores in the order of their rows.
    """

    counts: NDArray[np.int64]
    impostors: NDArray
    genuine: NDArray

    def curve(self) -> list[tuple[float, float]]:
        """FPR and TPR of accepting what reaches each edge, ascending; [] without impostor or without genuine pairs."""
        reached = self.counts[:, ::-1].cumsum(axis=1)  # (2, BINS), from the highest bin down
        if not reached[:, -1].all():
            return []
        rates = reached / reached[:, -1:]
        return [(float(fpr), float(tpr)) for fpr, tpr in np.unique(rates.T, axis=0)]

    def histogram(self, bins: int = 128) -> Histogram:
        """The counts in ``bins`` bins; a power of two."""
        impostor, genuine = self.counts.reshape(2, bins, BINS // bins).sum(axis=2).tolist()
        return Histogram(tuple(EDGES[:: BINS // bins].tolist()), tuple(genuine), tuple(impostor))


class _Strip(NamedTuple):
    """Unit rows [k d] of one side, in float64, with their persons [k]."""

    first: int
    rows: torch.Tensor
    persons: NDArray[np.int32]


def survey_pairs(
    pairing: Pairing, hardest: int, max_memory_bytes: int, progress: Callable[[int], None] | None = None
) -> Survey:
    """Score every pair and keep the ``hardest`` of each kind; rows and tiles take half of the memory at most.

    ``progress`` is called with the number of pairs scored. ``UserError`` for rows without direction, or too little
    memory.
    """
    strip_rows = shape_for(Engine(max_memory_bytes), 2 * pairing.columns, 1).strip  # float64 takes twice the room
    search = _Search(hardest)
    for left, right in _strips(pairing, strip_rows):
        for top, start in itertools.product(
            range(0, len(left.rows), _TILE_ROWS), range(0, len(right.rows), _TILE_ROWS)
        ):
            counted = search.add(left, right, (top, start), pairing.probes is None)
            if progress is not None and counted:
                progress(counted)
    return Survey(search.counts, search.worst[IMPOSTOR], search.worst[GENUINE])


def _strips(pairing: Pairing, size: int) -> Iterator[tuple[_Strip, _Strip]]:
    """Every two strips once; with one set those on and above the diagonal."""
    for top in range(0, len(pairing.gallery), size):
        left = _load(pairing.gallery, pairing.persons[0], top, size)
        first = top if pairing.probes is None else 0
        for start in range(first, len(pairing.right), size):
            same = pairing.probes is None and start == top
            yield left, left if same else _load(pairing.right, pairing.persons[1], start, size)


def _load(faces: LabelledFeatures, persons: NDArray[np.int32], first: int, size: int) -> _Strip:
    end = min(first + size, len(faces))
    return _Strip(first, torch.from_numpy(faces.unit(first, end)).double(), persons[first:end])


class _Search:
    """Counts so far, and the worst pairs of either kind so far."""

    def __init__(self, hardest: int) -> None:
        self.counts = np.zeros((2, BINS), np.int64)
        self.worst = [np.empty(0, KEPT), np.empty(0, KEPT)]
        self._hardest = hardest
        # open bounds keep every pair until ``hardest`` are found; crossed ones keep none
        self._bounds = np.array([-np.inf, np.inf] if hardest else [np.inf, -np.inf])
        self._products = torch.empty(_TILE_ROWS * _TILE_ROWS, dtype=torch.float64)
        self._places = np.empty(_TILE_ROWS * _TILE_ROWS, np.int32)

    def add(self, a: _Strip, b: _Strip, at: tuple[int, int], one_set: bool) -> int:
        """Score and count one tile; returns its number of pairs."""
        top, start = at
        left, right = a.rows[top : top + _TILE_ROWS], b.rows[start : start + _TILE_ROWS]
        beyond = a.first + top - b.first - start if one_set else -_ALL
        if beyond + 1 >= len(right):  # the tile lies below the diagonal
            return 0
        room = self._products[: len(left) * len(right)].view(len(left), len(right))
        scores = torch.mm(left, right.T, out=room).numpy()
        persons = a.persons[top : top + len(left)], b.persons[start : start + len(right)]
        counted, kept = _count_tile(scores, beyond, persons, self._bounds, self.counts, self._places)
        self._keep(scores, self._places[:kept], persons, (a.first + top, b.first + start))
        return counted

    def _keep(
        self,
        scores: NDArray[np.float64],
        places: NDArray[np.int32],
        persons: tuple[NDArray[np.int32], NDArray[np.int32]],
        first: tuple[int, int],
    ) -> None:
        """Merge the candidates of a tile into the worst pairs so far, and tighten the bounds for the next tile."""
        rows, columns = np.divmod(places, scores.shape[1])
        found = np.empty(len(places), KEPT)
        found["score"], found["genuine"] = scores[rows, columns], persons[0][rows] == persons[1][columns]
        found["left"], found["right"] = first[0] + rows, first[1] + columns
        for kind, sign in ((IMPOSTOR, -1), (GENUINE, 1)):
            some = np.concatenate([self.worst[kind], found[found["genuine"] == bool(kind)]])
            # the last key sorts first: by score, then by rows, so that ties do not depend on the order of tiles
            order = np.lexsort((some["right"], some["left"], sign * some["score"]))[: self._hardest]
            self.worst[kind] = some[order]
            if 0 < self._hardest == len(order):
                self._bounds[kind] = some["score"][order[-1]]


@compiled
def _count_tile(scores, beyond, persons, bounds, counts, places):
    """Count scores [m n] at column > row + ``beyond`` by kind and bin, and fill in the places of those within the
    bounds: impostors that reach the first, genuine pairs that do not exceed the second. Pairs counted, places found."""
    counted, found = 0, 0
    bins = counts.shape[1]
    for i in range(scores.shape[0]):
        for j in range(max(0, i + beyond + 1), scores.shape[1]):
            score = scores[i, j]
            kind = np.int64(persons[0][i] == persons[1][j])
            # exact: the factor is a power of two; cosines just beyond +-1 are clamped below
            place = np.int64(np.floor((score + 1.0) * (bins // 2)))
            counts[kind, min(max(place, 0), bins - 1)] += 1
            counted += 1
            if (score <= bounds[1]) if kind == 1 else (score >= bounds[0]):
                places[found] = i * scores.shape[1] + j
                found += 1
    return counted, found
