"""The least-squares similarity by singular values, as in Umeyama's paper (eq. 34-42), for points in the plane."""

from __future__ import annotations

import numpy as np


def umeyama(from_: np.ndarray, to: np.ndarray) -> np.ndarray:
    """The matrix [2 3] of rotation and scale, and shift, between points [n 2]."""
    mean_from, mean_to = from_.mean(axis=0), to.mean(axis=0)
    variance = ((from_ - mean_from) ** 2).sum() / len(from_)
    covariance = sum(np.outer(q - mean_to, p - mean_from) for p, q in zip(from_, to, strict=True)) / len(from_)
    u, d, vt = np.linalg.svd(covariance)
    s = np.diag([1.0, 1.0 if np.linalg.det(u) * np.linalg.det(vt) > 0 else -1.0])
    rotation = u @ s @ vt
    scale = np.trace(np.diag(d) @ s) / variance
    return np.column_stack([scale * rotation, mean_to - scale * rotation @ mean_from])
