"""Verification of pairs: 10-fold accuracy, ROC AUC and TPR at fixed FPRs, each with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from distill.errors import UserError
from distill.format import Interval, interval_cell, value_cell
from distill.metrics.bootstrap import Bootstrap, Weights
from distill.metrics.embedding import unit_vectors
from distill.metrics.folds import FOLDS, FoldTable, fold_table
from distill.metrics.roc import Histogram, RocPoints, curve, roc_curve, similarity_histogram, unsupported

STANDARD = Bootstrap()
FPRS = (1e-1, 1e-2, 1e-3, 1e-4)


@dataclass(frozen=True)
class Intervals:
    """Confidence intervals; None where the statistic is undefined."""

    accuracy: Interval
    auc: Interval
    tpr_at_fpr: Mapping[str, Interval]
    confidence: float
    resamples: int
    seed: int
    over: str


@dataclass(frozen=True)
class Verification:
    """The scores of one set of pairs; None where ``missing`` says why.

    ``threshold`` is the best squared distance of unit vectors over all pairs, ``fold_thresholds`` are those of
    the protocol. The keys of ``tpr_at_fpr`` are "0.1", "0.01", "0.001" and "0.0001".
    """

    accuracy_mean: float
    accuracy_std: float
    auc: float | None
    tpr_at_fpr: Mapping[str, float | None]
    missing: Mapping[str, str]
    intervals: Intervals
    pairs: int
    genuine: int
    impostor: int
    threshold: float
    fold_accuracies: tuple[float, ...]
    fold_thresholds: tuple[float, ...]
    roc: RocPoints | None
    histogram: Histogram

    def to_json(self) -> dict[str, object]:
        """Content of ``verify.json``."""
        return {**asdict(self), "folds": len(self.fold_accuracies)}

    def rows(self) -> list[tuple[str, str, str]]:
        """(quantity, value, confidence interval or why it is missing) for a table."""
        over = self.intervals
        accuracy = f"{self.accuracy_mean:.2%} ± {self.accuracy_std:.2%}"
        rows = [("accuracy", accuracy, interval_cell(over.accuracy, over.confidence))]
        rows.append(
            ("ROC AUC", value_cell(self.auc), self.missing.get("auc") or interval_cell(over.auc, over.confidence))
        )
        for key, value in self.tpr_at_fpr.items():
            note = self.missing.get(f"tpr_at_fpr.{key}") or interval_cell(over.tpr_at_fpr[key], over.confidence)
            rows.append((f"TPR at FPR {key}", value_cell(value), note))
        rows.append(("pairs", f"{self.pairs:,}", f"{self.genuine:,} genuine, {self.impostor:,} impostor"))
        return rows


def verify(
    left: NDArray[np.floating],
    right: NDArray[np.floating],
    same: NDArray[np.bool_],
    folds: int = FOLDS,
    *,
    bootstrap: Bootstrap = STANDARD,
    persons: NDArray[np.int64] | None = None,
    left_out: Sequence[int] = (),
) -> Verification:
    """Score pairs of embeddings [p d] against ``same`` [p]; embeddings are normalised here, all in float64.

    ``persons`` [p 2], where known, are resampled instead of pairs. ``left_out`` are the numbers of pairs that the set
    has besides these; they keep the others in their folds. ``UserError`` for NaN or zero embeddings, sides of
    different shape, or fewer pairs than folds.
    """
    return verify_distances(
        distances(left, right), same, folds, bootstrap=bootstrap, persons=persons, left_out=left_out
    )


def distances(left: NDArray[np.floating], right: NDArray[np.floating]) -> NDArray[np.float64]:
    """Squared distances [p] of the unit vectors of embeddings [p d] and [p d]; ``UserError`` for NaN or zero rows."""
    if left.ndim != 2 or left.shape != right.shape:
        raise UserError(f"pairs: left embeddings {left.shape}, right {right.shape}; expected [p d] and [p d]")
    # of differences, not 2 - 2 cos: exactly 0 for equal embeddings
    return ((unit_vectors(left, "left embeddings") - unit_vectors(right, "right embeddings")) ** 2).sum(axis=1)


def verify_distances(
    distances: NDArray[np.float64],
    same: NDArray[np.bool_],
    folds: int = FOLDS,
    *,
    bootstrap: Bootstrap = STANDARD,
    persons: NDArray[np.int64] | None = None,
    left_out: Sequence[int] = (),
) -> Verification:
    """``verify`` from the squared distances [p] of the pairs."""
    same = np.asarray(same, dtype=bool)
    _check(distances, same, folds)
    scores = 1 - distances / 2  # the cosine
    table = fold_table(distances, same, folds, left_out)
    if empty := set(range(folds)) - set(table.fold.tolist()):
        raise UserError(f"pairs: fold {min(empty) + 1} of {folds} has none that can be read; expected fewer folds")
    once = np.ones((1, len(same)))
    accuracies, thresholds = (row[0] for row in table.accuracies(once))
    return Verification(
        **_area_and_rates(_statistics(once, scores, table)[0], same),
        accuracy_mean=float(accuracies.mean()),
        accuracy_std=float(accuracies.std()),
        intervals=_intervals(scores, table, bootstrap, persons),
        pairs=len(same),
        genuine=int(same.sum()),
        impostor=int((~same).sum()),
        threshold=table.threshold(),
        fold_accuracies=tuple(accuracies.tolist()),
        fold_thresholds=tuple(thresholds.tolist()),
        roc=roc_curve(scores, same),
        histogram=similarity_histogram(scores, same),
    )


def _check(distances: NDArray[np.float64], same: NDArray[np.bool_], folds: int) -> None:
    if distances.shape != same.shape or same.ndim != 1:
        raise UserError(f"pairs: distances {distances.shape}, labels {same.shape}; expected [p] and [p]")
    if not 2 <= folds <= len(same):
        raise UserError(f"pairs: {len(same)} pairs for {folds} folds; expected 2 folds or more and a pair for each")


def _statistics(weights: Weights, scores: NDArray[np.float64], table: FoldTable) -> NDArray[np.float64]:
    """Mean accuracy, AUC and the TPRs [r 2+k] for weights [r p]; NaN where undefined."""
    accuracies, _ = table.accuracies(weights)
    weighted = ~np.isnan(accuracies)
    # over folds with weight; a resample may leave a fold empty
    mean = np.nansum(accuracies, axis=1) / np.where(weighted.any(axis=1), weighted.sum(axis=1), np.nan)
    roc = curve(scores, table.same, weights)
    return np.stack([mean, roc.auc(), *(roc.tpr_at_fpr(fpr) for fpr in FPRS)], axis=1)


class _AreaAndRates(TypedDict):
    auc: float | None
    tpr_at_fpr: dict[str, float | None]
    missing: dict[str, str]


def _area_and_rates(statistics: NDArray[np.float64], same: NDArray[np.bool_]) -> _AreaAndRates:
    missing = _missing(same)
    rates = {f"{fpr:g}": float(rate) for fpr, rate in zip(FPRS, statistics[2:], strict=True)}
    return {
        "auc": None if "auc" in missing else float(statistics[1]),
        "tpr_at_fpr": {key: None if f"tpr_at_fpr.{key}" in missing else rate for key, rate in rates.items()},
        "missing": missing,
    }


def _missing(same: NDArray[np.bool_]) -> dict[str, str]:
    """Why a statistic is undefined or unsupported, by its key."""
    reasons: dict[str, str] = {}
    if same.all() or not same.any():
        reasons["auc"] = f"all pairs are {'genuine' if same.all() else 'impostor'}"
    for fpr in FPRS:
        if reason := unsupported(same, fpr):
            reasons[f"tpr_at_fpr.{fpr:g}"] = reason
    return reasons


def _intervals(
    scores: NDArray[np.float64], table: FoldTable, bootstrap: Bootstrap, persons: NDArray[np.int64] | None
) -> Intervals:
    values = bootstrap.resample(lambda weights: _statistics(weights, scores, table), table.same, persons)
    accuracy, auc, *rates = (bootstrap.interval(column) for column in values.T)
    missing = _missing(table.same)
    return Intervals(
        accuracy=accuracy,
        auc=auc,
        tpr_at_fpr={
            f"{fpr:g}": None if f"tpr_at_fpr.{fpr:g}" in missing else interval
            for fpr, interval in zip(FPRS, rates, strict=True)
        },
        confidence=bootstrap.confidence,
        resamples=bootstrap.resamples,
        seed=bootstrap.seed,
        over="pairs" if persons is None else "persons",
    )
