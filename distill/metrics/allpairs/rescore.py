"""From the products of a tile to exact counts outside of the bands and exact scores within."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from distill.compiled import compiled
from distill.metrics.allpairs.bands import Bands
from distill.metrics.allpairs.exact_score import Rows, exact_score
from distill.metrics.allpairs.tiles import Sifted, padded

IMPOSTOR, GENUINE = 0, 1
PIECE = 1 << 16
"""Products that are processed at once, which bounds the memory."""


class Sides(NamedTuple):
    """Unit rows [m d] and [n d] of a tile, their persons [m] and [n], and the number of each side's first row."""

    left: Rows
    right: Rows
    left_persons: NDArray[np.int32]
    right_persons: NDArray[np.int32]
    first: tuple[int, int]


class Scored(NamedTuple):
    """Pairs [k] scored exactly: their rows, counted within the whole set, and whether they are genuine."""

    score: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    genuine: NDArray[np.bool_]

    def at(self, which: slice | NDArray[np.bool_]) -> Scored:
        """Some of the pairs; a slice shares their memory."""
        return Scored(self.score[which], self.left[which], self.right[which], self.genuine[which])


class Levels(NamedTuple):
    """The bands as plain arrays for the compiled loops."""

    cuts: NDArray[np.float32]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    margin: float


class InaccurateProduct(Exception):
    """A float32 product is further from its score than any order of summation allows."""


def levels(bands: Bands) -> Levels:
    return Levels(bands.cuts, bands.low, bands.high, bands.margin)


def empty(pairs: int) -> Scored:
    """Buffers for ``pairs`` scored pairs."""
    rows = np.empty((2, pairs), np.int32)
    return Scored(np.empty(pairs), rows[0], rows[1], np.empty(pairs, bool))


def settle(sifted: Sifted, sides: Sides, bands: Levels, counts: NDArray[np.int64], room: Scored) -> int:
    """Count the sifted pairs by kind and zone in ``counts`` [2 2m+1], and put those within a band into ``room``.

    Zone 2i+1 is band i, zone 2i is between band i-1 and band i. Returns how many are in ``room``, which holds as many
    as are sifted. Raises ``InaccurateProduct``: a library that multiplies in less than float32 would spoil the counts.
    """
    found, worst = _settle(sifted.places, sifted.products, sides, bands, counts, room)
    if worst > bands.margin:
        raise InaccurateProduct(
            f"a product is {worst:.1e} from its score, more than the {bands.margin:.1e} of float32: is TF32 or bf16 on?"
        )
    return found


def settle_counted(
    sifted: Sifted, genuine: NDArray[np.float32], cuts: NDArray[np.float32], counts: NDArray[np.int64]
) -> None:
    """Add to ``counts``, by kind, the pairs above the counted bands that were not sifted out.

    ``genuine`` are the products of all genuine pairs of the tile: of impostors the number is enough.
    """
    edges = np.append(padded(cuts), np.float32(np.inf))  # low and high cut of bands 0, 1 and 2, and inf
    for band, (here, higher) in enumerate(itertools.pairwise((*sifted.above, 0))):
        # zone 2 * band + 2 has products in [low, high); in [high, end) is the next band, whose pairs `settle` counts
        low, high, end = edges[2 * band + 1 : 2 * band + 4]
        if low == np.inf:  # no such band
            return
        sifted_out = np.count_nonzero((sifted.products >= high) & (sifted.products < end))
        own = np.count_nonzero((genuine >= low) & (genuine < high))
        counts[GENUINE, 2 * band + 2] += own
        counts[IMPOSTOR, 2 * band + 2] += here - higher - sifted_out - own


@compiled
def _settle(places, products, sides, bands, counts, room):
    columns = len(sides.right)
    found, worst = 0, 0.0
    for k in range(len(places)):
        i, j = places[k] // columns, places[k] % columns
        kind = np.int64(sides.left_persons[i] == sides.right_persons[j])
        zone = 0  # cuts that the product reaches: odd is within a band's margin, even is certain
        while zone < len(bands.cuts) and products[k] >= bands.cuts[zone]:
            zone += 1
        if zone % 2 == 1:
            score = exact_score(sides.left[i], sides.right[j])
            worst = max(worst, abs(score - np.float64(products[k])))
            band = zone // 2
            # within the margin of a cut, but not in the band itself
            if score < bands.low[band]:
                zone -= 1
            elif score >= bands.high[band]:
                zone += 1
            else:
                room.score[found] = score
                room.left[found] = sides.first[0] + i
                room.right[found] = sides.first[1] + j
                room.genuine[found] = kind == 1
                found += 1
        counts[kind, zone] += 1
    return found, worst


@compiled
def genuine_places(left, right, beyond, places):
    """Fill in the places (row * columns + column) of a tile's genuine pairs, as many as there are; returns how many.

    ``left`` and ``right`` are the persons of a side in ascending order, and the rows or columns that they are at.
    """
    columns = len(right[0])
    found, i, j = 0, 0, 0
    while i < len(left[0]) and j < columns:
        if left[0][i] > right[0][j]:
            j += 1
            continue
        at = j
        # j stays: the next row may be of the same person and needs this run again
        while at < columns and right[0][at] == left[0][i]:
            if right[1][at] > left[1][i] + beyond:
                places[found] = left[1][i] * columns + right[1][at]
                found += 1
            at += 1
        i += 1
    return found


@compiled
def score_places(places, sides, room):
    """Exact scores of genuine pairs, into ``room``."""
    columns = len(sides.right)
    for k in range(len(places)):
        i, j = places[k] // columns, places[k] % columns
        room.score[k] = exact_score(sides.left[i], sides.right[j])
        room.left[k] = sides.first[0] + i
        room.right[k] = sides.first[1] + j
        room.genuine[k] = True


@compiled
def thinned(places, columns, first, share, kept):
    """Fill in those places whose pair of rows a hash chooses, a share of all; how many. The same pairs in any tile."""
    found = 0
    limit = np.uint64(share * 2.0**53)  # compared with 53 random bits
    for k in range(len(places)):
        left = np.uint64(first[0] + places[k] // columns)
        right = np.uint64(first[1] + places[k] % columns)
        mixed = (left << np.uint64(32)) ^ right  # rows fit 32 bits: one key per pair
        # splitmix64's finaliser; no generator state, so tiles and threads do not matter
        for _ in range(2):
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
        if mixed >> np.uint64(11) < limit:
            kept[found] = places[k]
            found += 1
    return found
