"""Quality term: the length of the student's embedding measures the confidence in its direction.

Source: Li et al., Spherical Confidence Learning for Face Recognition (SCF, CVPR 2021), section 3: the embedding's
direction is the mean of a von Mises-Fisher distribution over the sphere and its concentration kappa is learned by the
likelihood of a target direction. Where several images of a person have concentrations, the likeliest common direction
is that of the sum of kappa times direction, hence of the embeddings as they are.
Deviations. (1) kappa is the embedding's own length, so that nothing beside the embedding has to be stored. (2) The
target is the teacher's embedding of the image, or the class centre. (3) Values are in nats per dimension and relative
to the uniform distribution: 0 for kappa 0, and a weight that suits 128 dimensions suits 512.

The density of kappa needs log I_nu(kappa) with nu = d / 2 - 1, by the uniform expansion for large orders (DLMF
10.41(ii), 10.41.3 with U_0 to U_3). With r = sqrt(nu^2 + kappa^2) its log kappa cancels against that of the constant,
and what remains is written so that no large numbers are subtracted: exact in float32 down to kappa 0.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from distill.errors import UserError
from distill.losses.adapter import AdapterKind, make_adapter
from distill.losses.base import Loss, require_classes, teacher_centres, teacher_dim, teacher_output
from distill.losses.cosine import precise, row_cosines
from distill.types import LossDims, LossInputs

LEAST_DIM = 8
"""Below, the expansion is off by more than 1e-4."""


def log_density_ratio(kappa: Tensor, dim: int) -> Tensor:
    """log C_d(kappa) - log C_d(0) [k], C_d being the von Mises-Fisher constant in ``dim`` dimensions, 8 or more.

    0 at kappa 0 and falling; its slope is minus the mean cosine to the centre, I_{d/2}(kappa) / I_{d/2-1}(kappa).
    """
    assert dim >= LEAST_DIM
    kappa, order = precise(kappa), dim / 2 - 1
    # (k); DLMF's order * sqrt(1 + z^2) with z = kappa / order
    root = torch.sqrt(kappa.square() + order**2)
    excess = kappa.square() / (root + order)  # root - order, without their difference
    # order * log((root + order) / (2 order)) + log(root / order) / 2; log1p, because both fractions are near 1
    logarithms = order * torch.log1p(excess / (2 * order)) + 0.5 * torch.log1p(excess / order)
    # DLMF's p = order / root is 1 at kappa 0
    return logarithms - excess - torch.log(_debye(order / root, order) / _debye(torch.ones_like(root), order))


def _debye(t: Tensor, order: float) -> Tensor:
    """Sum of U_k(t) / order^k for k from 0 to 3 (DLMF 10.41.10)."""
    square = t.square()
    first = t * (3 - 5 * square) / 24
    second = square * (81 + square * (-462 + 385 * square)) / 1152
    third = t * square * (30375 + square * (-369603 + square * (765765 - 425425 * square))) / 414720
    return 1 + first / order + second / order**2 + third / order**3


def von_mises_fisher(kappa: Tensor, cosine: Tensor, dim: int) -> Tensor:
    """Negative log-likelihood [k], in nats per dimension and relative to the uniform distribution.

    ``kappa`` [k] are concentrations, ``cosine`` [k] those between the centre and the sample. Smallest where the
    mean cosine of kappa is ``cosine``.
    """
    # the slope in kappa is mean cosine of kappa minus ``cosine``: 0 where they agree
    return -(log_density_ratio(kappa, dim) + kappa * cosine) / dim


class Quality(Loss):
    """The embedding's length against the cosine of its direction to ``target``.

    ``teacher``: the teacher's embedding of the image; with stored signals that of the image as it was before it was
    degraded. ``centre``: the teacher's class centre, for rows with a label. Unless ``turns`` is set, the term trains
    the length only: good images would otherwise get kappa times the weight in the direction's gradient, bad ones none.
    """

    def __init__(
        self,
        target: Literal["teacher", "centre"] = "teacher",
        turns: bool = False,
        adapter: AdapterKind = "auto",
        *,
        sizes: LossDims,
    ) -> None:
        super().__init__()
        teacher_dim(sizes, "Quality")
        if target not in ("teacher", "centre"):
            raise UserError(f"objective term Quality: target is {target!r}; expected 'teacher' or 'centre'")
        if sizes.student_dim < LEAST_DIM:
            raise UserError(
                f"objective term Quality: the student has {sizes.student_dim} dimensions; expected {LEAST_DIM} or more"
            )
        self.to_centre, self.turns = target == "centre", turns
        if self.to_centre:
            require_classes(sizes, "Quality")
        self.needs_teacher = not self.to_centre
        self.needs_labels = self.needs_teacher_centres = self.to_centre
        self.adapter = make_adapter(adapter, sizes, "Quality")

    def per_sample(self, step: LossInputs) -> Tensor:
        embedding = precise(step.student.embedding)
        # (k, t)
        target = teacher_centres(step)[step.labels] if self.to_centre else teacher_output(step).embedding
        # detached: the cosine then passes no gradient to the direction, only kappa has one
        direction = embedding if self.turns else embedding.detach()
        # (k)
        cosine = row_cosines(*self.adapter(direction, target))
        return von_mises_fisher(torch.linalg.vector_norm(embedding, dim=-1), cosine, embedding.shape[-1])
