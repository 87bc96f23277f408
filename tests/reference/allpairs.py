"""Slow, obvious versions of all that is claimed about all pairs, in exact rational arithmetic or plain loops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np


def unit_row(row: Sequence[float]) -> list[float]:
    """A row divided by its length, on the grid of multiples of 2^-26, as float32."""
    square = 0.0
    for value in row:
        square += float(value) * float(value)
    length = math.sqrt(square)
    return [float(np.float32(round(float(value) / length * 2**26) / 2**26)) for value in row]


def exact_dot(left: Sequence[float], right: Sequence[float]) -> Fraction:
    """The dot product without any rounding."""
    return sum((Fraction(a) * Fraction(b) for a, b in zip(left, right, strict=True)), Fraction(0))


def pairs(gallery: int, probes: int | None) -> list[tuple[int, int]]:
    """Row numbers of every pair."""
    if probes is None:
        return [(i, j) for i in range(gallery) for j in range(i + 1, gallery)]
    return [(i, j) for i in range(gallery) for j in range(probes)]


def scored(
    gallery: np.ndarray, identities: np.ndarray, probes: np.ndarray | None = None, probed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and whether genuine, of all pairs of rows [n d] with identities [n], -1 for distractors; all at once."""
    left = np.array([unit_row(row) for row in gallery])
    right = left if probes is None else np.array([unit_row(row) for row in probes])
    there = identities if probed is None else probed
    i, j = np.array(pairs(len(left), None if probes is None else len(right))).T
    return (left @ right.T)[i, j], (identities[i] == there[j]) & (identities[i] >= 0)


def point(scores: np.ndarray, same: np.ndarray, fpr: float) -> tuple[float, int, int]:
    """Threshold, accepted impostors and accepted genuine pairs: the lowest score that may be the last rejected one."""
    impostors, genuine = scores[~same], scores[same]
    allowed = math.floor(fpr * len(impostors) * (1 + 1e-12))
    for threshold in sorted(set(impostors.tolist())):
        accepted = int((impostors > threshold).sum())
        if accepted <= allowed:
            return threshold, accepted, int((genuine > threshold).sum())
    raise AssertionError("rejecting all impostors is always allowed")


def weighted_tpr(
    scores: np.ndarray, same: np.ndarray, persons: np.ndarray, drawn: Sequence[float], fpr: float
) -> float:
    """TPR at FPR when person k counts drawn[k] times, over pairs with persons [p 2]; NaN where undefined."""
    weights = [drawn[a] if a == b else drawn[a] * drawn[b] for a, b in persons]
    impostors = sorted(((s, w) for s, w, g in zip(scores, weights, same, strict=True) if not g and w), reverse=True)
    genuine = [(s, w) for s, w, g in zip(scores, weights, same, strict=True) if g]
    total = sum(w for _, w in impostors)
    if not total or not sum(w for _, w in genuine):
        return math.nan
    accepted = 0.0
    for threshold, weight in impostors:
        accepted += weight
        if accepted > fpr * total * (1 + 1e-12):
            return sum(w for s, w in genuine if s > threshold) / sum(w for _, w in genuine)
    raise AssertionError("fpr is below 1")
