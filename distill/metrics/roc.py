"""ROC statistics of scored pairs, exact with ties and with a weight for every pair.

``scores`` [p] grow with similarity, ``same`` [p] is True for genuine pairs. ``weights`` [r p] are multiplicities, one
row for each bootstrap resample; all statistics of all resamples are computed at once. Pairs of equal score are
accepted or rejected together, so nothing depends on their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Curve:
    """Accepted impostors and genuine pairs [r k+1], from the strictest threshold (none) to the loosest (all)."""

    impostor: Floats
    genuine: Floats

    def auc(self) -> Floats:
        """Area under the ROC curve [r]: a genuine pair beats an impostor pair, ties count half. NaN if undefined."""
        steps = np.diff(self.impostor, axis=1)  # (r, k): impostors that each threshold adds
        # trapezoids: in a step of tied scores, half of the genuine pairs count as won
        middle = (self.genuine[:, 1:] + self.genuine[:, :-1]) / 2
        return _ratio((steps * middle).sum(axis=1), self.impostor[:, -1] * self.genuine[:, -1])

    def tpr_at_fpr(self, fpr: float) -> Floats:
        """Largest TPR [r] of all thresholds whose FPR is at most ``fpr``; no interpolation. NaN if undefined."""
        allowed = fpr * self.impostor[:, -1:] * (1 + 1e-12)  # 0.29 x 100 is just below 29 in binary
        # counts never fall along a row, so this is the last column that is allowed
        last = (self.impostor <= allowed).sum(axis=1) - 1
        accepted = np.take_along_axis(self.genuine, last[:, None], axis=1)[:, 0]
        return np.where(self.impostor[:, -1] > 0, _ratio(accepted, self.genuine[:, -1]), np.nan)

    def tpr_near_fpr(self, fpr: float) -> float:
        """TPR of the point whose FPR is nearest to ``fpr``, the largest of those as near; NaN if undefined.

        What evaluation code for IJB prints. Its points are those that scikit-learn's ``roc_curve`` keeps: the first
        step is always one, and so is every step that is not as long as both of its neighbours. The FPR of such a
        point may lie above ``fpr``; ``tpr_at_fpr`` never allows that. Without weights only.
        """
        (impostor,), (genuine,) = self.impostor[:, 1:], self.genuine[:, 1:]
        if not (impostor[-1] and genuine[-1]):
            return np.nan
        bends = (np.diff(impostor, 2) != 0) | (np.diff(genuine, 2) != 0)
        kept = np.flatnonzero(np.r_[True, bends, len(impostor) > 1])
        points = np.r_[0, impostor[kept]] / impostor[-1]
        # argmin takes the first: reversed, that is the last and largest of equals
        nearest = len(points) - 1 - np.abs(points - fpr)[::-1].argmin()
        return float(np.r_[0, genuine[kept]][nearest] / genuine[-1])


def curve(scores: Floats, same: Bools, weights: Floats | None = None) -> Curve:
    """Count what each threshold accepts: one step for every distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    # first place of each run of equal scores
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    genuine = same[order]
    if weights is None:  # without products: 15.6 million pairs of IJB-C then take 0.8 GB, not 1.0
        return Curve(_counted(~genuine, starts), _counted(genuine, starts))
    sorted_weights = weights[:, order]
    return Curve(_accepted(sorted_weights * ~genuine, starts), _accepted(sorted_weights * genuine, starts))


def unsupported(same: Bools, fpr: float) -> str | None:
    """Why ``same`` cannot support TPR at ``fpr``, or None if it can.

    From 1 / fpr impostor pairs on, at least one may be accepted. Below that the threshold lies above every impostor
    whatever ``fpr`` is, and the number would describe FPR 0. The uncertainty of a number from few impostors is in
    its confidence interval.
    """
    return unsupported_by(int(same.sum()), int((~same).sum()), fpr)


def unsupported_by(genuine: int, impostor: int, fpr: float) -> str | None:
    """``unsupported`` from the numbers of genuine and of impostor pairs."""
    if genuine == 0:
        return "no genuine pairs"
    if impostor * fpr * (1 + 1e-12) < 1:
        return f"{impostor} impostor pairs; at least {round(1 / fpr)} needed"
    return None


@dataclass(frozen=True)
class RocPoints:
    """Points of the ROC curve for a plot, from (0, 0) to (1, 1)."""

    fpr: tuple[float, ...]
    tpr: tuple[float, ...]


def roc_curve(scores: Floats, same: Bools, max_points: int = 400) -> RocPoints | None:
    """The corners of the ROC curve, thinned to at most ``max_points`` of them; None if it is undefined."""
    assert max_points >= 2
    full = curve(scores, same)
    fp, tp = full.impostor[0], full.genuine[0]
    if not (fp[-1] and tp[-1]):
        return None
    # neighbouring segments of equal slope, as a cross product: no division by 0
    straight = np.diff(fp)[1:] * np.diff(tp)[:-1] == np.diff(fp)[:-1] * np.diff(tp)[1:]
    corners = np.flatnonzero(np.r_[True, ~straight, True])
    kept = corners[np.unique(np.linspace(0, len(corners) - 1, max_points).round().astype(int))]
    return RocPoints(tuple((fp[kept] / fp[-1]).tolist()), tuple((tp[kept] / tp[-1]).tolist()))


@dataclass(frozen=True)
class Histogram:
    """Counts of genuine and impostor pairs by cosine; bin i lies between edges i and i + 1."""

    edges: tuple[float, ...]
    genuine: tuple[int, ...]
    impostor: tuple[int, ...]


def similarity_histogram(scores: Floats, same: Bools, bins: int = 50) -> Histogram:
    """Histogram of cosines over [-1, 1]."""
    edges = np.linspace(-1, 1, bins + 1)
    inside = np.clip(scores, -1, 1)  # rounding may leave a cosine just outside
    genuine, impostor = (np.histogram(inside[kind], edges)[0].tolist() for kind in (same, ~same))
    return Histogram(tuple(edges.tolist()), tuple(genuine), tuple(impostor))


def _accepted(weights: Floats, starts: Sequence[int] | NDArray[np.intp]) -> Floats:
    # (r, p) -> (r, k): one column per distinct score
    groups = np.add.reduceat(weights, starts, axis=1).cumsum(axis=1)
    return np.concatenate([np.zeros((len(weights), 1)), groups], axis=1)


def _counted(kind: Bools, starts: NDArray[np.intp]) -> Floats:
    """``_accepted`` where every pair counts once."""
    ends = np.r_[starts, len(kind)]  # (k + 1): pairs before each threshold
    return np.r_[0, np.cumsum(kind)][None, ends].astype(np.float64)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
