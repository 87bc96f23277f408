"""Bring a student and a teacher of different widths into one space; nothing here is ever exported.

``Project``: the student, by a learned matrix, into the teacher's space (FitNets, arXiv 1412.6550, section 2.2, for
embeddings). The student's own cosines are then free outside the row space of that matrix.
``Lift``: the teacher, by a fixed isometry, into the student's wider space. Cosines among lifted vectors are those of
the teacher, so a student that reaches them has the teacher's cosines at its own full width, which is what is
deployed, and whatever it puts outside the teacher's subspace costs. The rotation is arbitrary and need not be
learned: the student's last layer absorbs it. All terms and all generations must agree on it, hence a fixed seed.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from distill.errors import UserError
from distill.losses.base import teacher_dim
from distill.losses.cosine import precise
from distill.types import LossDims

AdapterKind = Literal["auto", "project", "lift"]

# fixed for good: another seed is another rotation, in which stored students and their successors disagree
_LIFT_SEED = 0


class Same(nn.Module):
    """For equal widths: both sides unchanged."""

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        return student, teacher


class Project(nn.Module):
    """Student [k d] to the teacher's width, learned, without bias; initialised semi-orthogonal."""

    def __init__(self, student_dim: int, teacher_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(student_dim, teacher_dim, bias=False)
        nn.init.orthogonal_(self.linear.weight)

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        # (k, d) -> (k, t)
        return self.linear(precise(student)), teacher


class Lift(nn.Module):
    """Teacher [n t] to the student's larger width by fixed orthonormal columns; the student is unchanged."""

    basis: Tensor

    def __init__(self, student_dim: int, teacher_dim: int) -> None:
        super().__init__()
        self.register_buffer("basis", orthonormal_columns(student_dim, teacher_dim))

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        # (n, t) @ (t, d) -> (n, d)
        return student, precise(teacher) @ self.basis.T


def orthonormal_columns(rows: int, columns: int) -> Tensor:
    """A matrix [rows columns] with orthonormal columns, the same in every run."""
    generator = torch.Generator().manual_seed(_LIFT_SEED)
    # q (rows, columns), r (columns, columns); float64, so that the rounding of different LAPACK builds stays below
    # float32
    q, r = torch.linalg.qr(torch.randn(rows, columns, generator=generator, dtype=torch.float64))
    return (q * r.diagonal().sign()).float()  # QR leaves signs open; a positive diagonal fixes them


def make_adapter(kind: AdapterKind, sizes: LossDims, term: str) -> nn.Module:
    """The adapter for these widths: none if they are equal, else ``kind``.

    ``auto`` lifts a narrower teacher and projects onto a wider one. Called as ``adapter(student, teacher)`` with any
    vectors of the two spaces, class centres too, it returns both in one space.
    """
    if kind not in ("auto", "project", "lift"):
        raise UserError(f"objective term {term}: adapter is {kind!r}; expected 'auto', 'project' or 'lift'")
    student, teacher = sizes.student_dim, teacher_dim(sizes, term)
    if student == teacher:
        return Same()
    if kind == "lift" and teacher > student:
        raise UserError(
            f"objective term {term}: a {teacher}-wide teacher cannot be lifted to the student's {student}; "
            "use adapter=project"
        )
    if kind == "project" or teacher > student:
        return Project(student, teacher)
    return Lift(student, teacher)
