"""Relational terms, one pair and one triple at a time in float64."""

from __future__ import annotations

import math

import numpy as np

from reference.margin import Array, cosine


def huber(gap: float, delta: float) -> float:
    gap = abs(gap)
    return gap**2 / 2 if gap <= delta else delta * (gap - delta / 2)


def _relative_distances(x: Array) -> dict[tuple[int, int], float]:
    pairs = [(i, j) for i in range(len(x)) for j in range(len(x)) if i != j]
    lengths = {(i, j): math.dist(x[i], x[j]) for i, j in pairs}
    mean = sum(lengths.values()) / len(pairs)
    return {pair: length / mean for pair, length in lengths.items()}


def distance_gap(student: Array, teacher: Array, delta: float) -> Array:
    s, t = _relative_distances(student), _relative_distances(teacher)
    k = len(student)
    return np.array([float(np.mean([huber(s[i, j] - t[i, j], delta) for j in range(k) if j != i])) for i in range(k)])


def angle_gap(student: Array, teacher: Array, delta: float) -> Array:
    k = len(student)
    out = []
    for j in range(k):
        gaps = []
        for i in range(k):
            for n in range(k):
                if len({i, j, n}) == 3:
                    s = cosine(student[i] - student[j], student[n] - student[j])
                    t = cosine(teacher[i] - teacher[j], teacher[n] - teacher[j])
                    gaps.append(huber(s - t, delta))
        out.append(np.mean(gaps))
    return np.array(out)
