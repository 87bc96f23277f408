"""Rank distillation (EKD) over a list of pairs, one number at a time in float64."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from reference.margin import Array, cosine

RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def pairs(labels: Array, same: bool) -> list[tuple[int, int]]:
    return [(i, j) for i, j in combinations(range(len(labels)), 2) if (labels[i] == labels[j]) == same]


def thresholds(rows: Array, labels: Array) -> list[float]:
    """The cosine of a negative pair that a share of the rate of them exceeds."""
    scores = sorted((cosine(rows[i], rows[j]) for i, j in pairs(labels, same=False)), reverse=True)
    return [scores[math.floor(len(scores) * rate + 1e-9)] for rate in RATES]


def rank(score: float, limits: list[float], temperature: float) -> float:
    return sum(1 / (1 + math.exp(-(score - limit) / temperature)) for limit in limits) / len(limits)


def gap(
    student: Array, teacher: Array, chosen: list[tuple[int, int]], limits: tuple[list[float], list[float]], t: float
) -> float:
    """Mean squared difference of the ranks of the chosen pairs, given the thresholds of student and teacher."""
    squares = [
        (rank(cosine(student[i], student[j]), limits[0], t) - rank(cosine(teacher[i], teacher[j]), limits[1], t)) ** 2
        for i, j in chosen
    ]
    return float(np.mean(squares)) if squares else 0.0


def hardest(student: Array, labels: Array, count: int) -> list[tuple[int, int]]:
    return sorted(pairs(labels, same=False), key=lambda pair: -cosine(student[pair[0]], student[pair[1]]))[:count]
