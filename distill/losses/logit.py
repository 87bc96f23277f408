"""Logit terms: the teacher's distribution over the class centres against the student's.

KL with temperature: Hinton et al., arXiv 1503.02531, section 2. DKD: Zhao et al., arXiv 2203.08679, eq. 7.
Deviation of both: logits are scaled cosines to class centres, as in the margin losses, and not a network's output;
so a teacher without a classifier works too, with the means of its embeddings.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.errors import UserError
from distill.losses.adapter import AdapterKind, make_adapter
from distill.losses.base import Loss, require_classes, require_positive, teacher_centres, teacher_dim, teacher_output
from distill.losses.cosine import cosines, precise
from distill.losses.margin import at_label
from distill.types import LossDims, LossInputs

CentreChoice = Literal["own", "teacher"]


def kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """temperature^2 * KL(teacher || student) [k] of logits [k n]."""
    # (k, n); logarithms, because a softmax over many classes underflows
    log_student = F.log_softmax(precise(student) / temperature, -1)
    log_teacher = F.log_softmax(precise(teacher) / temperature, -1)
    # gradients of softened logits fall as 1 / temperature^2; the factor undoes it (section 2)
    return _divergence(log_student, log_teacher) * temperature**2


def dkd(student: Tensor, teacher: Tensor, labels: Tensor, weights: tuple[float, float], temperature: float) -> Tensor:
    """temperature^2 * (alpha * target part + beta * non-target part) [k] of logits [k n] and labels [k].

    The target part is the KL of (true class, the rest); the non-target part the KL among the wrong classes only.
    """
    alpha, beta = weights
    student, teacher = precise(student) / temperature, precise(teacher) / temperature
    # between two distributions over (true class, all others): (k, 2) each
    target = _divergence(_split(student, labels), _split(teacher, labels))
    # between two distributions over n classes in which the true one has probability 0
    rest = _divergence(F.log_softmax(_others(student, labels), -1), F.log_softmax(_others(teacher, labels), -1))
    return (alpha * target + beta * rest) * temperature**2


def _divergence(log_student: Tensor, log_teacher: Tensor) -> Tensor:
    # a class out of reach adds exp(finite minimum) * finite difference = 0
    return (log_teacher.exp() * (log_teacher - log_student)).sum(-1)


def _others(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits with the true class out of reach: at the least finite number, since two infinities subtract to NaN."""
    bottom = torch.finfo(logits.dtype).min
    return logits.scatter(1, labels[:, None], bottom)


def _split(logits: Tensor, labels: Tensor) -> Tensor:
    """Log-probabilities [k 2] of the true class and of all others together."""
    # (k): the logit of all wrong classes together
    rest = _others(logits, labels).logsumexp(-1)
    return F.log_softmax(torch.stack([at_label(logits, labels), rest], -1), -1)


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


class DKD(Loss):
    """Decoupled KL over the class centres."""

    needs_labels = True
    needs_teacher = True
    needs_teacher_centres = True

    def __init__(
        self,
        alpha: float = 1.0,
        beta: float = 2.0,
        temperature: float = 4.0,
        scale: float = 64.0,
        centres: CentreChoice = "own",
        adapter: AdapterKind = "auto",
        *,
        sizes: LossDims,
    ) -> None:
        super().__init__()
        for option, value in (("alpha", alpha), ("beta", beta), ("temperature", temperature), ("scale", scale)):
            require_positive("DKD", option, value)
        self.weights, self.temperature, self.scale = (alpha, beta), temperature, scale
        self.logits = ClassLogits(centres, adapter, sizes, "DKD")
        self.needs_centres = self.logits.needs_centres

    def per_sample(self, step: LossInputs) -> Tensor:
        student, teacher = self.logits(step)
        return dkd(self.scale * student, self.scale * teacher, step.labels, self.weights, self.temperature)
