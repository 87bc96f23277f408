"""Margin losses as the papers write them, one number at a time in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cosine(a: Array, b: Array) -> float:
    dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(float(x) ** 2 for x in a) * sum(float(y) ** 2 for y in b))


def margin_angle(c: float, margin: float) -> float:
    """cos(theta + margin); past pi: -1, minus how far the cosine has fallen since."""
    theta = math.acos(c)
    return math.cos(theta + margin) if theta + margin <= math.pi else -1 - (math.cos(math.pi - margin) - c)


def softmax_loss(logits: list[float], label: int) -> float:
    top = max(logits)
    return top + math.log(sum(math.exp(z - top) for z in logits)) - logits[label]


def _loss(rows: Array, centres: Array, labels: Array, scale: float, positive: Callable[[float, int], float]) -> Array:
    losses = []
    for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
        logits = [cosine(row, centre) for centre in centres]
        logits[int(label)] = positive(logits[int(label)], i)
        losses.append(softmax_loss([scale * z for z in logits], int(label)))
    return np.array(losses)


def cosface(rows: Array, centres: Array, labels: Array, scale: float, margin: float) -> Array:
    return _loss(rows, centres, labels, scale, lambda c, _: c - margin)


def arcface(rows: Array, centres: Array, labels: Array, scale: float, margins_rad: float | Array) -> Array:
    each = np.broadcast_to(np.asarray(margins_rad, dtype=np.float64), (len(rows),))
    return _loss(rows, centres, labels, scale, lambda c, i: margin_angle(c, float(each[i])))


def arcnegface(
    rows: Array, centres: Array, labels: Array, scale: float, constants: tuple[float, float, float]
) -> Array:
    margin, alpha, sigma = constants
    losses = []
    for row, label in zip(rows, labels, strict=True):
        cosines = [cosine(row, centre) for centre in centres]
        a = margin_angle(cosines[int(label)], margin)
        logits = []
        for j, c in enumerate(cosines):
            t = alpha * math.exp(-((c - a) ** 2) / sigma)
            logits.append(scale * (a if j == int(label) else t * c + t - 1))
        losses.append(softmax_loss(logits, int(label)))
    return np.array(losses)


def adaface(rows: Array, centres: Array, labels: Array, scale: float, margin: float, qualities: Array) -> Array:
    """AdaFace with the quality of each row given; the authors' clamps of the cosine and the angle."""

    def positive(c: float, i: int) -> float:
        q = float(qualities[i])
        theta = math.acos(min(max(c, -1 + 1e-3), 1 - 1e-3)) - margin * q
        return math.cos(min(max(theta, 1e-3), math.pi - 1e-3)) - (margin + margin * q)

    return _loss(rows, centres, labels, scale, positive)


def length_qualities(rows: Array, mean: float, spread: float, sharpness: float) -> Array:
    """The quality of each row from the length of its embedding, clipped twice."""
    lengths = [min(max(math.sqrt(sum(float(x) ** 2 for x in row)), 1e-3), 100) for row in rows]
    return np.array([min(max(sharpness * (length - mean) / (spread + 1e-3), -1), 1) for length in lengths])
