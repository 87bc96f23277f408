"""Estimate of the thresholds: tail shares of impostor scores from a random sample, with their standard error.

Blocks of random rows on both sides, scored exactly. Pairs of one block share rows and are not independent, so the
error is estimated from the differences between blocks. A wrong guess costs another pass, never a wrong result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from distill.compiled import compiled
from distill.metrics.allpairs.engine import threads_of_one_core
from distill.metrics.allpairs.pairing import Pairing

BLOCKS = 256
BINS = 1 << 16
EDGES = np.linspace(-1, 1, BINS + 1)
LOWEST, HIGHEST = -2.0, np.inf
"""No score lies beyond them."""

DENSITY = 8
"""A sample of 8 N^(2/3) of N pairs costs about as much time as it saves."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """Exact scores [r r] float64 of random rows, with the persons [r] of either side; -inf where it is no impostor."""

    scores: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Tails:
    """Estimated share of the impostor pairs that score at or above each of ``EDGES``, and its standard error."""

    share: NDArray[np.float64]
    error: NDArray[np.float64]
    pairs: int

    def bracket(self, share: float, sigmas: float) -> tuple[float, float]:
        """Scores [low, high) between which the tail share falls through ``share``, so many standard errors safe."""
        doubt = sigmas * self.error + sigmas**2 / self.pairs  # second: where the sample has no pair
        below = np.flatnonzero(self.share - doubt > share)
        above = np.flatnonzero(self.share + doubt < share)
        return float(EDGES[below[-1]]) if len(below) else LOWEST, float(EDGES[above[0]]) if len(above) else HIGHEST

    def score_at(self, share: float) -> float:
        """The lowest edge that by the estimate at most this share reaches."""
        if share >= 1:
            return LOWEST
        # argmax of booleans is the first True; shares fall with the edges
        return float(EDGES[np.argmax(self.share <= share)]) if self.share[-1] <= share else HIGHEST


def sample_tails(pairing: Pairing, seed: int, threads: int) -> Tails:
    """Tail shares of one sample; another seed gives another."""
    total = squares = np.zeros(BINS + 1)
    pairs = 0
    for counts in _each(pairing, (seed, DENSITY), threads, _reached):
        total, squares, pairs = total + counts, squares + counts.astype(float) ** 2, pairs + int(counts[0])
    mean = total / BLOCKS  # (BINS + 1): pairs of a block at or above each edge
    # standard error of the mean over blocks; max: the difference of squares may round below 0
    spread = np.sqrt(np.maximum(squares / BLOCKS - mean**2, 0) / (BLOCKS - 1))
    return Tails(total / max(1, pairs), spread / max(1, pairs / BLOCKS), max(1, pairs))


def sample_blocks(pairing: Pairing, seed: int, threads: int, density: float = DENSITY) -> Iterator[Sampled]:
    """The blocks of a sample, in order; of ``density`` N^(2/3) pairs in all."""
    return _each(pairing, (seed, density), threads, lambda block: block)


def _each(
    pairing: Pairing, sample: tuple[int, float], threads: int, summarise: Callable[[Sampled], Any]
) -> Iterator[Any]:
    seed, density = sample
    # BLOCKS * side^2 = density * N^(2/3)
    side = max(8, math.ceil(math.sqrt(density * pairing.impostor ** (2 / 3) / BLOCKS)))
    with threads_of_one_core(threads) as pool:
        for first in range(0, BLOCKS, 4 * threads):  # a few at a time: results wait in memory
            numbers = range(first, min(first + 4 * threads, BLOCKS))
            yield from pool.map(lambda number: summarise(_block(pairing, side, (seed, number))), numbers)


def _block(pairing: Pairing, side: int, seed: tuple[int, int]) -> Sampled:
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, len(faces), side) for faces in (pairing.gallery, pairing.right)]
    left, right = (
        torch.from_numpy(faces.unit_at(chosen)).double()
        for faces, chosen in zip((pairing.gallery, pairing.right), rows, strict=True)
    )
    scores = torch.mm(left, right.T).numpy()  # (r, r), exact: see exact_score
    persons = [side[chosen] for side, chosen in zip(pairing.persons, rows, strict=True)]
    scores[persons[0][:, None] == persons[1]] = -np.inf  # also removes pairs of a row with itself
    return Sampled(scores, persons[0], persons[1])


def _reached(block: Sampled) -> NDArray[np.int64]:
    """How many impostor scores lie at or above each edge."""
    bins = np.zeros(BINS + 1, np.int64)
    _count(block.scores, bins)
    return bins[::-1].cumsum()[::-1]


@compiled
def _count(scores, bins):
    """The last edge that a score reaches; a cosine just beyond ±1, by the rounding of its rows, counts at the ends."""
    for i in range(scores.shape[0]):
        for j in range(scores.shape[1]):
            if scores[i, j] > -2.0:
                place = np.int64((scores[i, j] + 1.0) * (BINS // 2))
                bins[min(max(place, 0), BINS)] += 1
