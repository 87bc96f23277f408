"""Step functions: how many pairs reach a score, exactly, for every score within a band.

``Steps`` [3 k] float64 are ascending scores, and the impostor and genuine pairs that score at least that. The end of
every band is one of the scores, so that no score between bands is ever looked up. Counts below 2^53 are exact.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.metrics.allpairs.bands import Bands
from distill.metrics.allpairs.exact_score import STEP
from distill.metrics.allpairs.rescore import GENUINE, IMPOSTOR

Steps = NDArray[np.float64]
Counted = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Distinct scores, ascending, and how many pairs have each."""


def distinct(parts: Sequence[Counted]) -> Counted:
    """Several sets of counted scores as one."""
    scores, counts = (np.concatenate(values) for values in zip(*parts, strict=True))
    order = np.argsort(scores)
    scores = scores[order]
    # (distinct): first of each run
    starts = np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]]) if len(scores) else np.empty(0, np.intp)
    return scores[starts], np.add.reduceat(counts[order], starts) if len(starts) else np.empty(0, np.int64)


def steps(bands: Bands, counts: NDArray[np.int64], scored: tuple[Counted, Counted]) -> Steps:
    """From the pairs by kind and zone [2 2m+1], and those within bands by score, to the step function."""
    grid = np.unique(np.concatenate([scored[IMPOSTOR][0], scored[GENUINE][0], bands.high]))  # (k), ascending
    rows = [grid]
    for kind in (IMPOSTOR, GENUINE):
        scores, times = scored[kind]
        at = np.zeros(len(grid) + 1, np.int64)  # one more: a band whose end is above all
        at[np.searchsorted(grid, scores)] = times
        # zone 2i+2 holds pairs above band i that are only counted: booked at the end of that band
        at[np.searchsorted(grid, bands.high)] += counts[kind, 2::2]
        # pairs that score grid[k] or more; exact in float64 below 2^53
        rows.append(at[::-1].cumsum()[::-1][:-1].astype(float))
    return np.stack(rows)


class AllSteps:
    """The sum of many step functions, none of them loaded: each is a file, sorted and mapped."""

    def __init__(self, parts: Sequence[Steps]) -> None:
        self._parts = parts

    def reached(self, score: float) -> tuple[int, int]:
        """Impostor and genuine pairs with at least this score, which lies in or at the end of a band."""
        return self._accepted(score, "left")

    def above(self, score: float) -> tuple[int, int]:
        """Impostor and genuine pairs that score more."""
        return self._accepted(score, "right")

    def ranked(self, rank: int, low: float, high: float) -> float | None:
        """Score of the impostor pair of this rank, 1 for the highest; None if it is not within low <= score < high.

        By bisection of the grid on which all scores lie.
        """
        if self.reached(low)[IMPOSTOR] < rank or self.reached(high)[IMPOSTOR] >= rank:
            return None
        # integers, because scores are multiples of STEP: invariant reached(first) >= rank > reached(end), 54 rounds at
        # most
        first, end = round(low / STEP), round(min(high, 2.0) / STEP)
        while end - first > 1:
            middle = (first + end) // 2
            if self.reached(middle * STEP)[IMPOSTOR] >= rank:
                first = middle
            else:
                end = middle
        return first * STEP

    def _accepted(self, score: float, side: str) -> tuple[int, int]:
        impostor = genuine = 0
        for part in self._parts:
            at = int(np.searchsorted(part[0], score, side))  # pyright: ignore[reportCallIssue, reportArgumentType]
            if at < part.shape[1]:  # beyond the last step of a block no pair of it is left
                impostor, genuine = impostor + int(part[1, at]), genuine + int(part[2, at])
        return impostor, genuine


def write_array(path: Path, array: NDArray) -> None:
    """Write ``.npy`` atomically."""
    held = io.BytesIO()
    np.save(held, array, allow_pickle=False)
    write_atomic(path, held.getvalue())


def map_array(path: Path) -> NDArray:
    """An array that ``write_array`` wrote, mapped into memory; ``UserError`` where it is damaged."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read: {error}; expected an array of this run: remove it and run again"
        ) from error
