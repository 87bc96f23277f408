"""The teacher's margins and adaptive centres, one sample at a time in float64."""

from __future__ import annotations

import numpy as np

from reference.margin import Array, cosine


def teacher_margins(teacher: Array, centres: Array, labels: Array, lowest: float, width: float) -> Array:
    certainty = [max(cosine(f, centres[int(y)]), 0) for f, y in zip(teacher, labels, strict=True)]
    return np.array([width / max(certainty) * c + lowest for c in certainty])


def adapted_centres(centres: Array, labels: Array, teacher: Array, agreement: Array) -> Array:
    """All centres [n t] after one step; several rows of a class count their mean."""
    out = centres.copy()
    for y in {int(label) for label in labels}:
        moves = []
        for f, label, agree in zip(teacher, labels, agreement, strict=True):
            if int(label) == y:
                a = min(max(float(agree) * cosine(centres[y], f), 0), 1)
                moves.append(a * centres[y] + (1 - a) * f / np.sqrt((f**2).sum()))
        out[y] = np.mean(moves, axis=0)
    return out
