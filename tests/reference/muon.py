"""Muon on one weight at a time, in float64 and with a singular value decomposition where the optimiser iterates."""

from __future__ import annotations

import numpy as np


def nearest_orthogonal(matrix: np.ndarray) -> np.ndarray:
    """The semi-orthogonal matrix [m n] nearest to ``matrix``: all singular values become 1."""
    u, _, vt = np.linalg.svd(matrix, full_matrices=False)
    return u @ vt


def iterated(matrix: np.ndarray) -> np.ndarray:
    """What the paper's five steps make of it: each singular value s becomes 3.4445 s - 4.775 s^3 + 2.0315 s^5."""
    u, s, vt = np.linalg.svd(matrix / np.linalg.norm(matrix), full_matrices=False)
    for _ in range(5):
        s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
    return u @ np.diag(s) @ vt


def steps(weight: np.ndarray, gradients: list[np.ndarray], lr: float, momentum: float, decay: float) -> np.ndarray:
    """A weight [m n] after one step for each gradient."""
    mean = np.zeros_like(weight)
    for gradient in gradients:
        mean = momentum * mean + (1 - momentum) * gradient
        ahead = momentum * mean + (1 - momentum) * gradient
        weight = weight * (1 - lr * decay) - lr * 0.2 * max(weight.shape) ** 0.5 * iterated(ahead)
    return weight
