"""Two numbers of the ROC curve of scores, by the code under test (``distill.metrics.roc.curve``)."""

from __future__ import annotations

from distill.metrics.roc import Bools, Floats, curve


def auc(scores: Floats, same: Bools) -> float:
    """NaN without genuine or without impostor pairs."""
    return float(curve(scores, same).auc()[0])


def tpr_at_fpr(scores: Floats, same: Bools, fpr: float) -> float:
    """At an FPR of at most ``fpr``; NaN without genuine or without impostor pairs."""
    return float(curve(scores, same).tpr_at_fpr(fpr)[0])
