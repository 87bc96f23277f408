"""AdaFace: a margin that depends on the length of the student's embedding, the measure of an image's quality.

Source: Kim et al., AdaFace (arXiv 2204.00964) and mk-minchul/AdaFace: head.py. A recognisable image gets a
larger cosine margin and a negative angular one, so that its hard samples count more; an unrecognisable one the reverse.
Deviations. (1) The mean and spread of the lengths move in training mode only, and not with fewer than two rows, whose
spread is undefined. (2) The cosine is clamped inside of +-1 for the true class alone: the other logits are cosines as
they are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from distill.losses.base import Loss, require_classes, require_positive, require_within
from distill.losses.cosine import cosines, precise
from distill.losses.margin import at_label, cross_entropy, with_label
from distill.types import LossDims, LossInputs

LENGTHS = (1e-3, 100.0)
"""An embedding's length is clipped to this range."""
INSIDE = 1e-3
"""Distance to +-1 for cosines, and to 0 and pi for angles, beyond which the true class has no gradient."""


def adaface(cosine: Tensor, labels: Tensor, quality: Tensor, margin: float) -> Tensor:
    """Logits [k n] before scaling: cos(theta - margin * q) - (margin + margin * q).

    ``quality`` [k] is q in [-1, 1]. For q = -1 this is ArcFace, for q = 0 CosFace.
    """
    cosine = precise(cosine)
    # (k), radians
    angle = at_label(cosine, labels).clamp(INSIDE - 1, 1 - INSIDE).acos() - margin * quality
    target = angle.clamp(INSIDE, math.pi - INSIDE).cos() - (margin + margin * quality)
    return with_label(cosine, labels, target)


class LengthQuality(nn.Module):
    """Lengths of embeddings to q in [-1, 1]: their standard scores, times ``sharpness``, against running statistics.

    ``mean`` and ``spread`` are exponential averages over the batches, buffers that travel in the checkpoint; both
    begin at the authors' values.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, sharpness: float = 0.333, momentum: float = 0.01) -> None:
        super().__init__()
        self.sharpness, self.momentum = sharpness, momentum
        self.register_buffer("mean", torch.tensor(20.0))
        self.register_buffer("spread", torch.tensor(100.0))

    @torch.no_grad()
    def forward(self, embedding: Tensor) -> Tensor:
        """Qualities [k] of embeddings [k d], without gradient."""
        lengths = torch.linalg.vector_norm(precise(embedding), dim=-1).clamp(*LENGTHS)
        if self.training and len(lengths) > 1:
            # before q is taken, as in the authors' code
            self.mean.lerp_(lengths.mean().to(self.mean), self.momentum)
            self.spread.lerp_(lengths.std().to(self.spread), self.momentum)
        # 1e-3: batches of equal lengths
        return (self.sharpness * (lengths - self.mean) / (self.spread + 1e-3)).clamp(-1, 1)


class AdaFace(Loss):
    """AdaFace against the student's learned class centres."""

    needs_labels = True
    needs_centres = True

    def __init__(
        self,
        margin: float = 0.4,
        sharpness: float = 0.333,
        momentum: float = 0.01,
        scale: float = 64.0,
        *,
        sizes: LossDims,
    ) -> None:
        super().__init__()
        require_classes(sizes, "AdaFace")
        require_within("AdaFace", "margin", margin, (0, 1))
        require_positive("AdaFace", "sharpness", sharpness)
        require_within("AdaFace", "momentum", momentum, (0, 1))
        require_positive("AdaFace", "scale", scale)
        self.margin, self.scale = margin, scale
        self.quality = LengthQuality(sharpness, momentum)

    def per_sample(self, step: LossInputs) -> Tensor:
        embedding = step.student.embedding
        logits = adaface(cosines(embedding, step.centres), step.labels, self.quality(embedding), self.margin)
        return cross_entropy(logits, step.labels, self.scale)
