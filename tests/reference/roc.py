"""Slow verification statistics, written as plain loops over pairs and thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence


def squared_distance(left: Sequence[float], right: Sequence[float]) -> float:
    """Squared Euclidean distance after normalising both vectors."""
    a, b = math.sqrt(sum(x * x for x in left)), math.sqrt(sum(x * x for x in right))
    return sum((x / a - y / b) ** 2 for x, y in zip(left, right, strict=True))


def accuracy(distances: Sequence[float], same: Sequence[bool], threshold: float) -> float:
    """Share of pairs that are judged right when 'same' means a distance strictly below the threshold."""
    return sum((d < threshold) == s for d, s in zip(distances, same, strict=True)) / len(distances)


def fold_bounds(pairs: int, folds: int) -> list[tuple[int, int]]:
    """Contiguous folds; the first ``pairs % folds`` of them hold one pair more."""
    bounds, start = [], 0
    for fold in range(folds):
        end = start + pairs // folds + (1 if fold < pairs % folds else 0)
        bounds.append((start, end))
        start = end
    return bounds


def fold_accuracies(distances: Sequence[float], same: Sequence[bool], folds: int) -> tuple[list[float], list[float]]:
    """Accuracy and threshold of every fold, the threshold chosen on all the others (the first best one)."""
    accuracies, thresholds = [], []
    for start, end in fold_bounds(len(distances), folds):
        train = [i for i in range(len(distances)) if not start <= i < end]
        best, best_accuracy = 0.0, -1.0
        for step in range(400):
            threshold = 0 + step * 0.01
            right = accuracy([distances[i] for i in train], [same[i] for i in train], threshold)
            if right > best_accuracy:
                best, best_accuracy = threshold, right
        thresholds.append(best)
        accuracies.append(accuracy(distances[start:end], same[start:end], best))
    return accuracies, thresholds


def auc(scores: Sequence[float], same: Sequence[bool]) -> float:
    """Share of (genuine, impostor) couples in which the genuine pair scores higher; a tie counts one half."""
    wins = 0.0
    genuine = [s for s, g in zip(scores, same, strict=True) if g]
    impostor = [s for s, g in zip(scores, same, strict=True) if not g]
    for g in genuine:
        for i in impostor:
            wins += 1.0 if g > i else 0.5 if g == i else 0.0
    return wins / (len(genuine) * len(impostor))


def tpr_at_fpr(scores: Sequence[float], same: Sequence[bool], allowed: int) -> float:
    """Largest TPR of all thresholds (accepting scores >= threshold) that admit at most ``allowed`` impostors."""
    best = 0.0
    for threshold in sorted(set(scores)):
        accepted = [g for s, g in zip(scores, same, strict=True) if s >= threshold]
        if accepted.count(False) <= allowed:
            best = max(best, sum(accepted) / sum(same))
    return best
