"""Unit vectors and cosines in float32 or better, safe for zero vectors and for rows of any norm."""

from __future__ import annotations

import torch
from torch import Tensor


def precise(x: Tensor) -> Tensor:
    """The same values in float32, or in float64 if they already are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def unit(x: Tensor, smallest: float = 1e-6) -> Tensor:
    """Rows [... d] at length 1. A row shorter than ``smallest`` has no direction: it becomes 0, with gradient 0.

    Dividing by max(norm, epsilon) instead would give such a row a gradient of 1 / epsilon.
    """
    x = precise(x)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    # clamped inside `where` too: the gradient of a 1 / 0 that is not selected is inf * 0 = NaN
    inverse = torch.where(norm > smallest, 1 / norm.clamp_min(smallest), torch.zeros_like(norm))
    return x * inverse


def cosines(rows: Tensor, columns: Tensor) -> Tensor:
    """Cosines [k n] between rows [k d] and columns [n d]; rounding may carry them just past +-1."""
    return unit(rows) @ unit(columns).T


def row_cosines(left: Tensor, right: Tensor) -> Tensor:
    """Cosine [k] of each row of left [k d] with the same row of right [k d]."""
    return (unit(left) * unit(right)).sum(-1)
