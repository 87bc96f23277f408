"""Accuracy over folds with a threshold chosen on the others: the protocol behind published LFW numbers.

Source: ``recognition/arcface_mxnet/verification.py`` of deepinsight/insightface, after the LFW paper's 10 folds.
Contiguous folds without shuffling; thresholds 0, 0.01, …, 3.99 of the squared distance of unit vectors; a pair is
"same" strictly below the threshold; the first best threshold of the other folds is applied to each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOLDS = 10
THRESHOLDS = np.arange(0, 4, 0.01)


@dataclass(frozen=True, eq=False)
class FoldTable:
    """Fold and bin of each pair: ``bins`` [p] counts the thresholds that do not accept the pair."""

    fold: NDArray[np.int64]
    same: NDArray[np.bool_]
    bins: NDArray[np.int64]
    folds: int

    def correct(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of the correctly classified pairs [r folds thresholds], and of all [r folds], for weights [r p]."""
        width = len(THRESHOLDS) + 1
        key = (self.fold * 2 + self.same) * width + self.bins  # (p): cell of (fold, kind, bin)
        order = np.argsort(key, kind="stable")
        # reduceat sums runs of equal keys, for all resamples at once
        occupied, starts = np.unique(key[order], return_index=True)
        table = np.zeros((len(weights), self.folds * 2 * width))
        table[:, occupied] = np.add.reduceat(weights[:, order], starts, axis=1)
        accepted = table.reshape(len(weights), self.folds, 2, width).cumsum(axis=3)  # up to each threshold
        impostors, genuine = accepted[:, :, 0], accepted[:, :, 1]
        # accepted genuine and rejected impostor pairs (r, folds, thresholds); the last bin is accepted by no threshold
        right = genuine[..., :-1] + impostors[..., -1:] - impostors[..., :-1]
        return right, impostors[..., -1] + genuine[..., -1]

    def accuracies(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Accuracy and chosen threshold of every fold [r folds]; the accuracy of a fold without weight is NaN."""
        right, total = self.correct(weights)
        # (r, folds): best on the other folds; argmax takes the first, as the published code does
        best = (right.sum(axis=1, keepdims=True) - right).argmax(axis=2)
        hits = np.take_along_axis(right, best[..., None], axis=2)[..., 0]
        return np.divide(hits, total, out=np.full_like(hits, np.nan), where=total > 0), THRESHOLDS[best]

    def threshold(self) -> float:
        """The first best threshold over all pairs."""
        right, _ = self.correct(np.ones((1, len(self.same))))
        return float(THRESHOLDS[right[0].sum(axis=0).argmax()])


def fold_table(
    distances: NDArray[np.float64], same: NDArray[np.bool_], folds: int = FOLDS, left_out: Sequence[int] = ()
) -> FoldTable:
    """Sort squared distances [p] into folds and thresholds; the first folds are one longer if p is no multiple.

    ``left_out`` are the numbers of pairs that are not among these: the others stay in the folds that they would be in.
    """
    parts = np.array_split(np.arange(len(same) + len(left_out)), folds)
    fold = np.delete(np.repeat(np.arange(folds), [len(part) for part in parts]), np.array(left_out, np.int64))
    # a pair is accepted strictly below a threshold, so "right" counts thresholds up to its distance
    return FoldTable(fold, same, np.searchsorted(THRESHOLDS, distances, side="right"), folds)
