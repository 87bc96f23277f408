"""The logit term, one probability at a time in float64."""

from __future__ import annotations

import math

import numpy as np

from reference.margin import Array


def softmax(logits: Array, temperature: float) -> list[float]:
    powers = [math.exp((float(z) - float(max(logits))) / temperature) for z in logits]
    return [p / sum(powers) for p in powers]


def divergence(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def kl(student: Array, teacher: Array, temperature: float) -> Array:
    rows = zip(student, teacher, strict=True)
    return np.array([divergence(softmax(t, temperature), softmax(s, temperature)) for s, t in rows]) * temperature**2
