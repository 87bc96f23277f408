"""Percentile confidence intervals by resampling pairs, or persons where they are known.

Resampling pairs keeps the numbers of genuine and of impostor pairs: they are the design of the set, not chance.
Pairs that share a person are not independent. With persons, a resample draws persons with replacement, and a pair
counts as often as the product of its persons' draws (a genuine pair as often as its one person): wider and
more honest intervals than resampling pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]
CHUNK_ELEMENTS = 2_000_000  # weights held at once: 16 MB
CHUNK_ROWS = 100  # resamples at once: a statistic may need far more memory than its weights


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made; the same seed gives the same intervals."""

    resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        assert self.resamples > 0
        assert 0 < self.confidence < 1

    def weights(self, same: NDArray[np.bool_], persons: NDArray[np.int64] | None = None) -> Iterator[Weights]:
        """Multiplicities [r p] in chunks of resamples; ``persons`` [p 2] are the identities of both sides."""
        rng = np.random.default_rng(self.seed)
        chunk = max(1, min(CHUNK_ROWS, CHUNK_ELEMENTS // len(same)))
        for start in range(0, self.resamples, chunk):
            rows = min(chunk, self.resamples - start)
            yield _draw_pairs(rng, rows, same) if persons is None else _draw_persons(rng, rows, persons)

    def draws(self, persons: int) -> Iterator[NDArray[np.float64]]:
        """How often each of ``persons`` is drawn [persons], resample by resample.

        For statistics of so many pairs that weights of all pairs are made for one resample at a time; the resamples
        are those of ``weights`` with the same number of persons.
        """
        rng = np.random.default_rng(self.seed)
        for _ in range(self.resamples):
            yield draw(rng, 1, persons)[0]

    def interval(self, values: NDArray[np.float64]) -> tuple[float, float] | None:
        """Percentile interval of the resampled values [r]; undefined (NaN) ones are left out, None if all are."""
        values = values[~np.isnan(values)]
        if not len(values):
            return None
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        return float(low), float(high)

    def resample(
        self,
        statistic: Callable[[Weights], NDArray[np.float64]],
        same: NDArray[np.bool_],
        persons: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]:
        """All resampled values [r k] of a statistic that maps weights [r p] to [r k]."""
        return np.concatenate([statistic(weights) for weights in self.weights(same, persons)])


def draw(rng: np.random.Generator, rows: int, units: int) -> Weights:
    """How often each of ``units`` is drawn [rows units] when as many are drawn with replacement."""
    if not units:
        return np.empty((rows, 0))
    # each resample gets its own range of keys, so that one bincount serves all of them
    drawn = rng.integers(0, units, (rows, units)) + np.arange(rows)[:, None] * units
    return np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units).astype(np.float64)


def _draw_pairs(rng: np.random.Generator, rows: int, same: NDArray[np.bool_]) -> Weights:
    weights = np.empty((rows, len(same)))
    # each kind by itself: their numbers are the same in every resample
    for kind in (same, ~same):
        weights[:, kind] = draw(rng, rows, int(kind.sum()))
    return weights


def _draw_persons(rng: np.random.Generator, rows: int, persons: NDArray[np.int64]) -> Weights:
    names, index = np.unique(persons, return_inverse=True)
    left, right = index.reshape(persons.shape).T  # (p) each
    drawn = draw(rng, rows, len(names))
    return drawn[:, left] * np.where(left == right, 1.0, drawn[:, right])  # (r, p)
