"""Feature terms, one number at a time in float64."""

from __future__ import annotations

import math

import numpy as np

from reference.margin import Array, cosine


def cosine_gap(student: Array, teacher: Array) -> Array:
    return np.array([1 - cosine(s, t) for s, t in zip(student, teacher, strict=True)])


def map_error(student: Array, teacher: Array) -> Array:
    """Maps [k c h w] of equal size."""
    out = []
    for s, t in zip(student, teacher, strict=True):
        error = sum((a - b) ** 2 for a, b in zip(s.ravel(), t.ravel(), strict=True))
        out.append(error / sum(b**2 for b in t.ravel()))
    return np.array(out)


def attention_gap(student: Array, teacher: Array, power: float) -> Array:
    """Maps of equal height and width."""
    out = []
    for s, t in zip(student, teacher, strict=True):
        left, right = _unit_attention(s, power), _unit_attention(t, power)
        out.append(sum((a - b) ** 2 for a, b in zip(left, right, strict=True)))
    return np.array(out)


def _unit_attention(x: Array, power: float) -> list[float]:
    c, h, w = x.shape
    energy = [sum(abs(float(x[i, y, z])) ** power for i in range(c)) for y in range(h) for z in range(w)]
    length = math.sqrt(sum(e**2 for e in energy))
    return [e / length for e in energy]


def halve(x: Array) -> Array:
    """Average of each 2x2 block of maps [k c h w] with even sides."""
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
