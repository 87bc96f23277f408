"""Fusion of frames, one frame at a time in float64."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray


def unit(vector: Array) -> Array:
    return vector / math.sqrt(sum(float(v) ** 2 for v in vector))


def template(frames: Array, weights: list[float]) -> Array:
    return unit(sum((w * unit(f) for f, w in zip(frames, weights, strict=True)), np.zeros(frames.shape[1])))


def agreements(frames: Array, weights: list[float]) -> list[float]:
    """Cosine of each frame with the template of the others."""
    found = []
    for i, frame in enumerate(frames):
        others = [j for j in range(len(frames)) if j != i]
        found.append(float(unit(frame) @ template(frames[others], [weights[j] for j in others])))
    return found


def consensus(frames: Array, weights: list[float], sharpness: float, rounds: int) -> list[float]:
    current = list(weights)
    for _ in range(rounds):
        agreement = [max(a, 0.0) for a in agreements(frames, current)]
        reference = weighted_median(agreement, weights)
        current = [w * min(a / reference, 1.0) ** sharpness for w, a in zip(weights, agreement, strict=True)]
    return current


def weighted_median(values: list[float], weights: list[float]) -> float:
    reached = 0.0
    for value, weight in sorted(zip(values, weights, strict=True)):
        reached += weight
        if reached >= sum(weights) / 2:
            return value
    raise AssertionError("weights are negative")
