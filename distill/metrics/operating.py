"""Operating points: at each FPR the threshold that an operator sets, TPR and accepted pairs, and an interval.

All of it follows ``distill/metrics/roc.py``: of the thresholds whose FPR is at most the given one, the one with the
largest TPR; equal scores are accepted or rejected together. A band of confidence is made of one interval at each FPR.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distill.format import Interval
from distill.metrics.allpairs.result import Point, RankedScore
from distill.metrics.bootstrap import Bootstrap, Weights
from distill.metrics.roc import Bools, Floats, curve, unsupported

PER_DECADE = 20


def fpr_grid(impostor: int, per_decade: int = PER_DECADE) -> tuple[float, ...]:
    """Descending FPRs below 1 at equal ratios, every decade among them, as far as so many impostor pairs support."""
    # 1e-9: log10 of a power of ten may come out just below the integer
    last = math.floor(per_decade * math.log10(max(1, impostor)) + 1e-9)
    return tuple(float(f"{10 ** (-step / per_decade):.6g}") for step in range(1, last + 1))


def decades(impostor: int) -> tuple[float, ...]:
    """0.1, 0.01, and so on, down to the first that so many impostor pairs do not support."""
    supported = math.floor(math.log10(max(1, impostor)) + 1e-9)
    return tuple(float(f"1e-{power}") for power in range(1, supported + 2))


def tpr_band(
    scores: Floats, same: Bools, fprs: Sequence[float], bootstrap: Bootstrap, persons: NDArray[np.int64] | None = None
) -> list[Interval]:
    """The interval of TPR at each FPR for scores [p] and verdicts [p]; None where no resample defines it.

    ``persons`` [p 2], where known, are resampled instead of pairs.
    """

    def rates(weights: Weights) -> Floats:
        found = curve(scores, same, weights)
        return np.stack([found.tpr_at_fpr(fpr) for fpr in fprs], axis=1)

    return [bootstrap.interval(values) for values in bootstrap.resample(rates, same, persons).T]


def operating_points(
    scores: Floats, same: Bools, fprs: Sequence[float], bootstrap: Bootstrap, persons: NDArray[np.int64] | None = None
) -> tuple[Point, ...]:
    """Threshold, accepted pairs, TPR and its interval at each FPR between 0 and 1; arguments as for ``tpr_band``."""
    impostor, genuine = np.sort(scores[~same])[::-1], scores[same]
    missing = {fpr: unsupported(same, fpr) for fpr in fprs}
    supported = [fpr for fpr in fprs if missing[fpr] is None]
    band = dict(zip(supported, tpr_band(scores, same, supported, bootstrap, persons), strict=True)) if supported else {}

    def point(fpr: float) -> Point:
        if fpr not in band:
            return Point(fpr, missing=missing[fpr])
        allowed = min(int(fpr * len(impostor) * (1 + 1e-12)), len(impostor) - 1)  # as roc.Curve.tpr_at_fpr
        # the best impostor pair that is rejected, sorted falling
        threshold = float(impostor[allowed])
        found = RankedScore(threshold, int((impostor > threshold).sum()), int((genuine > threshold).sum()))
        rate = found.genuine / len(genuine)
        return Point(fpr, rate, *found, interval=band[fpr], evidence="all")

    return tuple(point(fpr) for fpr in fprs)


def hardest(scores: Floats, same: Bools, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the genuine pairs that score lowest and of the impostor pairs that score highest, the worst first."""
    genuine, impostor = np.flatnonzero(same), np.flatnonzero(~same)
    return (
        genuine[np.argsort(scores[genuine], kind="stable")[:count]],
        impostor[np.argsort(-scores[impostor], kind="stable")[:count]],
    )
