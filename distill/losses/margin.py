"""Margin losses: softmax cross-entropy over scaled cosines to the class centres, with a margin on the true class.

CosFace (arXiv 1801.09414, eq. 4), ArcFace (arXiv 1801.07698, eq. 3), ArcNegFace (arXiv 1909.00632 and its code).

Deviations. (1) Gradients are exact; InsightFace's arcface_torch computes acos and cos outside autograd. (2) acos is
evaluated within +-(1 - 1e-6), where its slope is finite; beyond, the cosine of the true class has gradient 0, as the
centre then is in the direction of the embedding or opposite to it. (3) Where the margin carries the angle past pi,
cos would rise again and reward a worse angle. From there on the logit is -1 + (cos(theta) - cos(theta_pi)), with
theta_pi the angle that the margin carries to pi: continuous and strictly falling in the angle. InsightFace's
c - m * sin(m) falls too, but jumps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.losses.base import Loss, require_classes, require_positive, require_within
from distill.losses.cosine import cosines, precise
from distill.types import LossDims, LossInputs

# acos has slope -1 / sqrt(1 - c^2): -707 here, infinite at 1
_INSIDE = 1 - 1e-6


def add_angle(cosine: Tensor, margin_rad: float | Tensor) -> Tensor:
    """cos(theta + margin_rad) for cosines [k], one margin or one per sample [k], guarded past pi."""
    cosine = precise(cosine).clamp(-_INSIDE, _INSIDE)
    margin = torch.as_tensor(margin_rad, dtype=cosine.dtype, device=cosine.device)
    # (k), radians
    angle = cosine.acos() + margin
    # at theta = pi - margin both branches are -1
    past_pi = cosine - torch.cos(math.pi - margin) - 1
    # both branches have finite slopes, so the one not taken adds no NaN to the gradient
    return torch.where(angle <= math.pi, angle.cos(), past_pi)


def at_label(cosine: Tensor, labels: Tensor) -> Tensor:
    """The entries [k] of cosine [k n] that belong to the labels [k]."""
    # (k, 1) -> (k)
    return cosine.gather(1, labels[:, None])[:, 0]


def with_label(cosine: Tensor, labels: Tensor, values: Tensor) -> Tensor:
    """A copy of cosine [k n] with the label's entry of each row replaced by values [k]."""
    return cosine.scatter(1, labels[:, None], values[:, None])


def cosface(cosine: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Logits [k n] before scaling (CosFace, eq. 4): the true class loses ``margin`` of its cosine."""
    cosine = precise(cosine)
    return with_label(cosine, labels, at_label(cosine, labels) - margin)


def arcface(cosine: Tensor, labels: Tensor, margin_rad: float | Tensor) -> Tensor:
    """Logits [k n] before scaling (ArcFace, eq. 3); one margin or one per sample [k]."""
    cosine = precise(cosine)
    return with_label(cosine, labels, add_angle(at_label(cosine, labels), margin_rad))


def arcnegface(cosine: Tensor, labels: Tensor, margin_rad: float, alpha: float = 1.2, sigma: float = 2.0) -> Tensor:
    """Logits [k n] before scaling (ArcNegFace): t * c + t - 1 for the wrong classes.

    t = alpha * exp(-(c - a)^2 / sigma), without gradient, with a the logit of the true class: wrong classes near it
    count more, those far below, and those far above (probably a wrong label), count less.
    """
    cosine = precise(cosine)
    target = add_angle(at_label(cosine, labels), margin_rad)
    # (k, n); detached: the weights are constants in the gradient, as in the authors' code
    t = alpha * torch.exp(-(cosine - target[:, None]).square() / sigma).detach()
    return with_label(t * cosine + t - 1, labels, target)


def cross_entropy(logits: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Cross-entropy [k] of the scaled logits [k n]."""
    # not reduced: the objective divides by all rows of the batch, also those without a label
    return F.cross_entropy(scale * logits, labels, reduction="none")


class CosFace(Loss):
    needs_labels = True
    needs_centres = True

    # 0.4 as in arcface_torch; the paper has 0.35
    def __init__(self, scale: float = 64.0, margin: float = 0.4, *, sizes: LossDims) -> None:
        super().__init__()
        _check("CosFace", scale, sizes)
        require_within("CosFace", "margin", margin, (0, 1))
        self.scale, self.margin = scale, margin

    def per_sample(self, step: LossInputs) -> Tensor:
        logits = cosface(cosines(step.student.embedding, step.centres), step.labels, self.margin)
        return cross_entropy(logits, step.labels, self.scale)


class ArcFace(Loss):
    needs_labels = True
    needs_centres = True

    def __init__(self, scale: float = 64.0, margin_rad: float = 0.5, *, sizes: LossDims) -> None:
        super().__init__()
        _check("ArcFace", scale, sizes)
        require_within("ArcFace", "margin_rad", margin_rad, (0, math.pi / 2))
        self.scale, self.margin_rad = scale, margin_rad

    def per_sample(self, step: LossInputs) -> Tensor:
        logits = arcface(cosines(step.student.embedding, step.centres), step.labels, self.margin_rad)
        return cross_entropy(logits, step.labels, self.scale)


class ArcNegFace(Loss):
    needs_labels = True
    needs_centres = True

    def __init__(
        self, scale: float = 64.0, margin_rad: float = 0.5, alpha: float = 1.2, sigma: float = 2.0, *, sizes: LossDims
    ) -> None:
        super().__init__()
        _check("ArcNegFace", scale, sizes)
        require_within("ArcNegFace", "margin_rad", margin_rad, (0, math.pi / 2))
        require_positive("ArcNegFace", "alpha", alpha)
        require_positive("ArcNegFace", "sigma", sigma)
        self.scale, self.constants = scale, (margin_rad, alpha, sigma)

    def per_sample(self, step: LossInputs) -> Tensor:
        logits = arcnegface(cosines(step.student.embedding, step.centres), step.labels, *self.constants)
        return cross_entropy(logits, step.labels, self.scale)


def _check(term: str, scale: float, sizes: LossDims) -> None:
    require_positive(term, "scale", scale)
    require_classes(sizes, term)
