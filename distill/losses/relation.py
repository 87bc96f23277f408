"""Relational terms compare distances and angles within a batch, so widths may differ and no adapter is needed.

RKD: Park et al., arXiv 1904.05068, eqs. 5-9. Deviations: means over distinct pairs and triples only (the authors'
code counts the empty ones too), and unit vectors unless ``normalise`` is off.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.losses.base import Loss, require_positive, teacher_dim, teacher_output
from distill.losses.cosine import precise, unit
from distill.types import LossDims, LossInputs

_TOUCHING = 1e-4
"""Two vectors closer than this are one point: they have no direction to each other, and no gradient."""


def off_diagonal_mean(values: Tensor) -> Tensor:
    """Mean [k] of each row of values [k k] without its diagonal entry; 0 for a single row."""
    rows = len(values)
    outside = ~torch.eye(rows, dtype=torch.bool, device=values.device)  # (k, k)
    return (values * outside).sum(1) / max(rows - 1, 1)


def distances(x: Tensor) -> Tensor:
    """Distances [k k] of the rows [k d] over their mean (RKD, eqs. 5 and 6): free of scale."""
    # (k, k, d) -> (k, k). Differences, because |a|^2 + |b|^2 - 2ab cancels for points that are close
    squared = (x[:, None] - x[None]).square().sum(-1)
    apart = squared > _TOUCHING**2
    # a 1 under the root instead of 0, where sqrt has an infinite slope: inf * 0 in the gradient is NaN
    lengths = torch.where(apart, squared, torch.ones_like(squared)).sqrt() * apart
    pairs = max(len(x) * (len(x) - 1), 1)
    # the mean has a gradient too; the floor is for a batch of equal points
    return lengths / (lengths.sum() / pairs).clamp_min(_TOUCHING)


def angle_cosines(x: Tensor) -> Tensor:
    """Entry [j i l] of [k k k] is the cosine of the angle at row j between rows i and l of [k d] (RKD, eq. 8)."""
    # arms[j, i] leads from row j to row i: (k, k, d)
    arms = unit(x[None] - x[:, None], smallest=_TOUCHING)
    return arms @ arms.transpose(1, 2)  # (k, k, d) @ (k, d, k) -> (k, k, k)


def distance_gap(student: Tensor, teacher: Tensor, delta: float = 1.0) -> Tensor:
    """Huber gap [k] of relative distances in [k d] and [k t], averaged over the sample's pairs (RKD, eq. 7)."""
    gap = F.huber_loss(distances(precise(student)), distances(precise(teacher)), reduction="none", delta=delta)
    return off_diagonal_mean(gap)


def angle_gap(student: Tensor, teacher: Tensor, delta: float = 1.0) -> Tensor:
    """Huber gap [k] of angles' cosines in [k d] and [k t], averaged over triples with the vertex there (RKD, eq. 9)."""
    gap = F.huber_loss(angle_cosines(student), angle_cosines(teacher), reduction="none", delta=delta)
    rows = len(student)
    arms = ~torch.eye(rows, dtype=torch.bool, device=gap.device)
    # [j, i, l] with j != i, j != l and i != l
    distinct = arms[:, :, None] & arms[:, None, :] & arms[None]
    # over i and l: each vertex j has (k - 1) * (k - 2) of them
    return (gap * distinct).sum((1, 2)) / max((rows - 1) * (rows - 2), 1)


class RelationalDistance(Loss):
    """RKD's distances. Memory: batch^2 * width values."""

    needs_teacher = True

    def __init__(self, delta: float = 1.0, normalise: bool = True, *, sizes: LossDims) -> None:
        super().__init__()
        teacher_dim(sizes, "RelationalDistance")
        require_positive("RelationalDistance", "delta", delta)
        self.delta, self.prepare = delta, unit if normalise else precise

    def per_sample(self, step: LossInputs) -> Tensor:
        student, teacher = step.student.embedding, teacher_output(step).embedding
        return distance_gap(self.prepare(student), self.prepare(teacher), self.delta)


class RelationalAngle(Loss):
    """RKD's angles. Memory: batch^2 * width + batch^3 values, 0.5 GB for batch 512 in each of several tensors."""

    needs_teacher = True

    def __init__(self, delta: float = 1.0, normalise: bool = True, *, sizes: LossDims) -> None:
        super().__init__()
        teacher_dim(sizes, "RelationalAngle")
        require_positive("RelationalAngle", "delta", delta)
        self.delta, self.prepare = delta, unit if normalise else precise

    def per_sample(self, step: LossInputs) -> Tensor:
        student, teacher = step.student.embedding, teacher_output(step).embedding
        return angle_gap(self.prepare(student), self.prepare(teacher), self.delta)
