"""Fusion of frames, one frame at a time in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def unit(vector: Array) -> Array:
    return vector / math.sqrt(sum(float(v) ** 2 for v in vector))


def template(frames: Array, weights: Sequence[float]) -> Array:
    return unit(sum((w * unit(f) for f, w in zip(frames, weights, strict=True)), np.zeros(frames.shape[1])))


def agreements(frames: Array, weights: Sequence[float]) -> list[float]:
    """Cosine of each frame with the template of the others."""
    found = []
    for i, frame in enumerate(frames):
        others = [j for j in range(len(frames)) if j != i]
        found.append(float(unit(frame) @ template(frames[others], [weights[j] for j in others])))
    return found


def consensus(frames: Array, sharpness: float, rounds: int) -> list[float]:
    weights = [1.0] * len(frames)
    for _ in range(rounds):
        agreement = [max(a, 0.0) for a in agreements(frames, weights)]
        median = sorted(agreement)[len(agreement) // 2]
        weights = [min(a / median, 1.0) ** sharpness for a in agreement]
    return weights
