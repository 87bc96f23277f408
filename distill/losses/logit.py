"""Logit term: the teacher's distribution over the class centres against the student's.

KL with temperature: Hinton et al., arXiv 1503.02531, section 2. Deviation: logits are scaled cosines to class centres,
as in the margin losses, and not a network's output; so a teacher without a classifier works too, with the means of its
embeddings.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from distill.errors import UserError
from distill.losses.adapter import AdapterKind, make_adapter
from distill.losses.base import Loss, require_classes, require_positive, teacher_centres, teacher_dim, teacher_output
from distill.losses.cosine import cosines, precise
from distill.types import LossDims, LossInputs

CentreChoice = Literal["own", "teacher"]


def kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """temperature^2 * KL(teacher || student) [k] of logits [k n]."""
    # (k, n); logarithms, because a softmax over many classes underflows
    log_student = F.log_softmax(precise(student) / temperature, -1)
    log_teacher = F.log_softmax(precise(teacher) / temperature, -1)
    # gradients of softened logits fall as 1 / temperature^2; the factor undoes it (section 2)
    return (log_teacher.exp() * (log_teacher - log_student)).sum(-1) * temperature**2


class ClassLogits(nn.Module):
    """Scaled cosines of student and teacher to the class centres.

    The teacher's are always to its own frozen centres; the student's to its learned centres (``own``) or to the
    teacher's, brought to one width by the adapter (``teacher``).
    """

    def __init__(self, centres: CentreChoice, adapter: AdapterKind, sizes: LossDims, term: str) -> None:
        super().__init__()
        if centres not in ("own", "teacher"):
            raise UserError(f"objective term {term}: centres is {centres!r}; expected 'own' or 'teacher'")
        teacher_dim(sizes, term)
        require_classes(sizes, term)
        self.adapter = make_adapter(adapter, sizes, term) if centres == "teacher" else None

    @property
    def needs_centres(self) -> bool:
        return self.adapter is None

    def forward(self, step: LossInputs) -> tuple[Tensor, Tensor]:
        """Cosines of the student [k n] and of the teacher [k n]."""
        # (n, t)
        frozen = teacher_centres(step)
        teacher = cosines(teacher_output(step).embedding, frozen)  # (k, n)
        if self.adapter is None:
            return cosines(step.student.embedding, step.centres), teacher
        return cosines(*self.adapter(step.student.embedding, frozen)), teacher


class ClassCentreKL(Loss):
    """KL over the class centres; for images without a label too. ``teacher_scale`` is ``scale`` unless given."""

    needs_teacher = True
    needs_teacher_centres = True

    def __init__(
        self,
        temperature: float = 4.0,
        scale: float = 64.0,
        teacher_scale: float | None = None,
        centres: CentreChoice = "own",
        adapter: AdapterKind = "auto",
        *,
        sizes: LossDims,
    ) -> None:
        super().__init__()
        self.temperature, self.scales = temperature, (scale, scale if teacher_scale is None else teacher_scale)
        require_positive("ClassCentreKL", "temperature", temperature)
        require_positive("ClassCentreKL", "scale", self.scales[0])
        require_positive("ClassCentreKL", "teacher_scale", self.scales[1])
        self.logits = ClassLogits(centres, adapter, sizes, "ClassCentreKL")
        self.needs_centres = self.logits.needs_centres

    def per_sample(self, step: LossInputs) -> Tensor:
        student, teacher = self.logits(step)
        return kl(self.scales[0] * student, self.scales[1] * teacher, self.temperature)
