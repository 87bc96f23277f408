"""Logit terms, one probability at a time in float64, with the conditional probabilities of the DKD paper."""

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


def dkd(student: Array, teacher: Array, labels: Array, weights: tuple[float, float], temperature: float) -> Array:
    out = []
    for s, t, label in zip(student, teacher, labels, strict=True):
        p, q = softmax(t, temperature), softmax(s, temperature)
        y = int(label)
        target = divergence([p[y], 1 - p[y]], [q[y], 1 - q[y]])
        others = [j for j in range(len(p)) if j != y]
        rest = divergence([p[j] / (1 - p[y]) for j in others], [q[j] / (1 - q[y]) for j in others])
        out.append((weights[0] * target + weights[1] * rest) * temperature**2)
    return np.array(out)
