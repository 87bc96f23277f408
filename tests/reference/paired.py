"""Slow figures of a slice of weighted pairs: every pair is listed as often as it counts, and all is looped over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Pair(NamedTuple):
    """A pair as one model scores it."""

    distance: float
    same: bool
    fold: int
    inside: bool


def listed(pairs: Sequence[Pair], times: Sequence[int]) -> list[Pair]:
    return [pair for pair, count in zip(pairs, times, strict=True) for _ in range(count)]


def best_threshold(pairs: Sequence[Pair]) -> float:
    """The first of 0, 0.01, ..., 3.99 that judges most pairs right, a pair below it being the same person."""
    best, most = 0.0, -1
    for step in range(400):
        right = sum((pair.distance < step * 0.01) == pair.same for pair in pairs)
        if right > most:
            best, most = step * 0.01, right
    return best


def accuracy(pairs: Sequence[Pair]) -> float:
    """Of the pairs inside, those judged right by the threshold of all pairs of the other folds."""
    inside = [pair for pair in pairs if pair.inside]
    if not inside:
        return math.nan
    thresholds = {f: best_threshold([p for p in pairs if p.fold != f]) for f in {p.fold for p in inside}}
    return sum((p.distance < thresholds[p.fold]) == p.same for p in inside) / len(inside)


def auc(pairs: Sequence[Pair]) -> float:
    """How often a genuine pair inside is nearer than an impostor pair inside, ties counting half."""
    genuine = [p.distance for p in pairs if p.inside and p.same]
    impostor = [p.distance for p in pairs if p.inside and not p.same]
    if not genuine or not impostor:
        return math.nan
    return sum(1.0 if g < i else 0.5 if g == i else 0.0 for g in genuine for i in impostor) / (
        len(genuine) * len(impostor)
    )


def tpr_at_fpr(pairs: Sequence[Pair], fpr: float) -> float:
    """Of the genuine pairs inside, those within the widest distance that lets in at most ``fpr`` of all impostors."""
    genuine = [p.distance for p in pairs if p.inside and p.same]
    impostor = [p.distance for p in pairs if not p.same]
    if not genuine or not impostor:
        return math.nan
    widest = -1.0
    for distance in sorted({p.distance for p in pairs}):
        if sum(i <= distance for i in impostor) <= fpr * len(impostor) + 1e-9:
            widest = distance
    return sum(g <= widest for g in genuine) / len(genuine)
