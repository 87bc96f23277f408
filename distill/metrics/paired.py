"""Two scorings of the same pairs compared: accuracy, ROC AUC and TPR at an FPR, and by how much they differ.

A resample is drawn once and both scorings are computed on it, so that the effect of the drawn pairs cancels in the
difference (Efron and Tibshirani, An Introduction to the Bootstrap, 1993: resample the units, not the two samples).

A slice is a part of a set's pairs. Its accuracy and its TPR are taken at the thresholds of the whole set, as a service
has one threshold for everybody: a group whose scores have all shifted is hidden by a threshold of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from distill.metrics.bootstrap import Bootstrap, Weights
from distill.metrics.folds import FOLDS, FoldTable, fold_table
from distill.metrics.roc import Bools, Floats, curve

Persons = NDArray[np.int64]


class Metric(StrEnum):
    """The compared metrics, in the order of the last axis of all arrays here."""

    accuracy = "accuracy"
    auc = "auc"
    tpr_at_fpr = "tpr_at_fpr"


@dataclass(frozen=True, eq=False)
class Scoring:
    """One model's squared distances [p] of unit vectors, and the pairs' labels [p], evaluated under any weights.

    ``weights`` [r p] are multiplicities of the pairs, ``slices`` [s p] say which pairs belong to which slice; every
    result is [r s], NaN where it is undefined.
    """

    distances: Floats
    table: FoldTable

    @property
    def scores(self) -> Floats:
        return 1 - self.distances / 2  # the cosine, bit-identical to ``verify``'s

    def accuracies(self, weights: Weights, slices: Bools) -> Floats:
        """Pairs classified correctly, each by the best threshold of the other folds of the complete set."""
        _, thresholds = self.table.accuracies(weights)
        right = (self.distances < thresholds[:, self.table.fold]) == self.table.same  # (r, p)
        return _share(right, weights, slices)

    def areas(self, weights: Weights, slices: Bools) -> Floats:
        """ROC AUC of each slice's own pairs."""
        same = self.table.same
        return np.stack([curve(self.scores[part], same[part], weights[:, part]).auc() for part in slices], axis=1)

    def rates(self, weights: Weights, slices: Bools, fpr: float) -> Floats:
        """TPR of each slice at the lowest threshold that the whole set allows for an FPR of ``fpr``."""
        threshold = self._thresholds(weights, fpr)[:, None]
        same = self.table.same
        found = _share(self.scores[same] > threshold, weights[:, same], slices[:, same])
        return np.where(np.isnan(threshold), np.nan, found)

    def _thresholds(self, weights: Weights, fpr: float) -> Floats:
        """The score [r] of the first impostor pair that may not be accepted; what ties with it is rejected too."""
        impostor = ~self.table.same
        scores = self.scores[impostor]
        order = np.argsort(-scores, kind="stable")
        accepted = np.cumsum(weights[:, impostor][:, order], axis=1)  # (r, impostors), highest first
        if not len(order):
            return np.full(len(weights), np.nan)
        allowed = fpr * accepted[:, -1:] * (1 + 1e-12)  # as roc.Curve.tpr_at_fpr
        # NaN stands behind the last impostor: every one of them may be accepted
        return np.r_[scores[order], np.nan][(accepted <= allowed).sum(axis=1)]


def scoring(distances: Floats, same: Bools, folds: int = FOLDS) -> Scoring:
    """Sort squared distances [p] of pairs with verdicts [p] into folds, as the protocol does."""
    assert distances.shape == same.shape
    return Scoring(distances, fold_table(distances, same, folds))


def figures(scored: Scoring, weights: Weights, slices: Bools, fpr: float) -> Floats:
    """Every ``Metric`` of every slice under every row of weights: [r s m]."""
    return np.stack(
        [scored.accuracies(weights, slices), scored.areas(weights, slices), scored.rates(weights, slices, fpr)], axis=2
    )


def resampled(
    scorings: Sequence[Scoring], slices: Bools, fpr: float, bootstrap: Bootstrap, persons: Persons | None = None
) -> Floats:
    """``figures`` of several scorings of the same pairs under the same resamples: [k r s m].

    ``persons`` [p 2], where known, are resampled instead of pairs.
    """
    same = scorings[0].table.same
    assert all(np.array_equal(scored.table.same, same) for scored in scorings)
    drawn = [
        np.stack([figures(scored, weights, slices, fpr) for scored in scorings])
        for weights in bootstrap.weights(same, persons)
    ]
    return np.concatenate(drawn, axis=1)


def units(same: Bools, slices: Bools, persons: Persons | None = None) -> NDArray[np.int64]:
    """Number of independent units of each slice, for each ``Metric``: [s m].

    Pairs, or persons where these are known and fewer. AUC is counted by the rarer of its two kinds of pairs.
    """

    def count(mask: Bools) -> int:
        pairs = int(mask.sum())
        return pairs if persons is None else min(pairs, len(np.unique(persons[mask])))

    return np.array(
        [[count(part), min(count(part & same), count(part & ~same)), count(part & same)] for part in slices]
    )


def units_needed(margin: float, confidence: float) -> int:
    """Units of which one or more is lost with ``confidence`` where a share of ``margin`` is lost.

    With fewer units such a loss cannot be ruled out, whatever the metrics are (Hanley and Lippman-Hand, If nothing goes
    wrong, is everything all right?, JAMA 249, 1983: 3 / margin at 95 %).
    """
    assert 0 < margin < 1
    assert 0 < confidence < 1
    return math.ceil(math.log(1 - confidence) / math.log(1 - margin))


@dataclass(frozen=True)
class Estimate:
    """A figure and the ends of its interval."""

    value: float
    low: float
    high: float


def estimate(value: float, values: Floats, units: int, confidence: float) -> Estimate | None:
    """The interval around ``value`` from resampled ``values`` [r]; each end is off with chance ``1 - confidence``.

    A resample never shows a difference that no pair has: two models that agree on every pair would get an interval of
    width 0. So the interval also holds the spread of one more unit with another outcome, half of it won and half
    lost, as Agresti and Min add to such tables (Simple improved confidence intervals for comparing matched
    proportions, Statistics in Medicine 24, 2005). None where the figure is undefined.
    """
    assert 0.5 < confidence < 1
    interval = Bootstrap(confidence=2 * confidence - 1).interval(values)
    if interval is None or math.isnan(value) or not units:
        return None
    # normal quantile times the standard deviation of one unit among ``units``
    unseen = NormalDist().inv_cdf(confidence) / units
    low, high = interval
    return Estimate(value, value - math.hypot(value - low, unseen), value + math.hypot(high - value, unseen))


def _share(counted: Bools, weights: Weights, slices: Bools) -> Floats:
    """Share of the weight of the pairs in ``counted`` [r p], in each slice: [r s]."""
    members = slices.T.astype(np.float64)  # (p, s)
    part, whole = (weights * counted) @ members, weights @ members
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
