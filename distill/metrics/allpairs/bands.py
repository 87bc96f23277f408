"""Bands: the few narrow ranges of scores in which thresholds can lie.

A pair outside of all bands is only counted, by its product in float32; one that may lie within is scored exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Bands:
    """Disjoint ranges low <= score < high [m] float64, from the lowest up, and the error ``margin`` of a product.

    ``cuts`` [2m] float32 are the products from which a pair may lie in, and must lie above, each band: between an even
    and the next odd cut a pair needs its exact score, elsewhere the product decides.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    margin: float

    @property
    def cuts(self) -> NDArray[np.float32]:
        # rounding to float32 may move a cut inwards by half a step; one step outwards makes up for it
        low = np.nextafter((self.low - self.margin).astype(np.float32), np.float32(-np.inf))
        high = np.nextafter((self.high + self.margin).astype(np.float32), np.float32(np.inf))
        return np.stack([low, high], axis=1).ravel()


def merged(ranges: Iterable[tuple[float, float]], margin: float) -> Bands:
    """The bands that cover all ranges, one where they overlap or a product could not tell them apart."""
    bands: list[list[float]] = []
    for low, high in sorted((low, high) for low, high in ranges if low < high):
        # both cuts between two bands move towards each other by margin and a float32 step: 2 * margin + 3e-7 at most,
        # so they never cross
        if bands and low - bands[-1][1] <= 4 * margin + 1e-6:
            bands[-1][1] = max(bands[-1][1], high)
        else:
            bands.append([low, high])
    low, high = np.array(bands).T
    return Bands(np.ascontiguousarray(low), np.ascontiguousarray(high), margin)
