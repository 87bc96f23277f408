"""The score of a pair: a cosine that float64 computes without any rounding.

A row x of features is divided by its length in float64, rounded to a multiple of ``GRID`` = 2^-26, then to float32,
which keeps it on the grid. The score of two rows is the exact dot product of their unit rows u and v. Every product is
a multiple of 2^-52, and every partial sum is at most |u| |v| < 2 (Cauchy and Schwarz): both fit the 53 bits of float64,
so a float64 sum is exact in whatever order it is taken. Scores therefore depend on neither library, tile, thread nor
machine; equal rows have equal scores with every other row, and ties are ties.

The grid moves a component by at most 2^-27 and the cosine of 512-d rows by some 6e-9, a tenth of what float32 resolves
near 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill.compiled import compiled, regrouped
from distill.errors import UserError

Rows = NDArray[np.float32]


GRID = 2.0**-26
STEP = 2.0**-52
"""Scores are multiples of it."""


MOST_COLUMNS = 1 << 16
"""With more columns the error bound of a float32 product is 0.004 or more: too many pairs would need rescoring."""


def unit_rows(features: Rows, name: str, first: int = 0) -> Rows:
    """Unit rows [n d] of features [n d]; ``UserError`` names the row, counted from ``first``, that has no direction."""
    unit = np.empty(features.shape, np.float32)
    bad = _normalise(np.ascontiguousarray(features), unit)
    if bad >= 0:
        raise UserError(f"{name}: row {first + bad} is zero, NaN or infinite; expected finite embeddings")
    return unit


def error_bound(columns: int) -> float:
    """How far a float32 product of two unit rows can be from their score, whatever the order of summation.

    n u / (1 - n u) times |u| |v|, with n terms and unit roundoff u = 2^-24 (Higham, Accuracy and Stability of Numerical
    Algorithms, 2nd ed., eq. 3.5); fused multiply-adds only lessen it, and nothing on the grid underflows.
    """
    rounding = columns * 2.0**-24
    return 1.001 * rounding / (1 - rounding)  # lengths exceed 1 by less than a thousandth


@compiled
def _normalise(features, unit):
    for i in range(features.shape[0]):
        square = 0.0
        for k in range(features.shape[1]):
            square += np.float64(features[i, k]) * np.float64(features[i, k])
        # false for NaN too; squares of finite float32 numbers cannot overflow float64
        if not (square > 0.0 and square < np.inf):
            return i
        length = np.sqrt(square)
        for k in range(features.shape[1]):
            # GRID is a power of two: dividing and multiplying by it is exact, only rint rounds
            unit[i, k] = np.float32(np.rint(np.float64(features[i, k]) / length / GRID) * GRID)
    return -1


@regrouped
def exact_score(left, right):
    """The score of two unit rows [d]."""
    # any order is exact (above), so the compiler may vectorise the sum
    total = 0.0
    for k in range(left.shape[0]):
        total += np.float64(left[k]) * np.float64(right[k])
    return total
