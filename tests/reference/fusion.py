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


def agreements(frames: Array, expected: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Weighted sum of each frame's cosines with the others, over that of the cosines that are expected."""
    found = []
    for i, frame in enumerate(frames):
        seen = due = 0.0
        for j, other in enumerate(frames):
            if j != i:
                seen += weights[j] * float(unit(frame) @ unit(other))
                due += weights[j] * expected[i] * expected[j]
        found.append(seen / due)
    return found


def consensus(
    frames: Array, sharpness: float, rounds: int, concentrations: Sequence[float] | None = None
) -> list[float]:
    expected, weights = [1.0] * len(frames), [1.0] * len(frames)
    if concentrations is not None:
        expected = [2 * x / (1 + math.sqrt(1 + 4 * x * x)) for x in concentrations]
    for _ in range(rounds):
        agreement = [max(a, 0.0) for a in agreements(frames, expected, weights)]
        median = sorted(agreement)[len(agreement) // 2]
        reference = median if concentrations is None else min(median, 1.0)
        weights = [min(a / (0.6 * reference), 1.0) ** sharpness for a in agreement]
    return weights


def min_max_sum(frames: Array, qualities: Sequence[float]) -> Array:
    """The sum that QAN++ divides by the qualities' sum: embeddings as they are, qualities mapped where they are more
    than two."""
    low, high = min(qualities), max(qualities)
    if len(qualities) > 2:
        qualities = [(q - low) / (high - low) for q in qualities]
    return unit(sum((q * f for q, f in zip(qualities, frames, strict=True)), np.zeros(frames.shape[1])))
