from __future__ import annotations

import numpy as np
import pytest
import torch

from distill.errors import UserError
from distill.losses.adapter import AdapterKind, Lift, Project, Same, make_adapter, orthonormal_columns
from distill.losses.cosine import cosines
from distill.types import LossDims


@pytest.mark.parametrize(
    ("kind", "student", "teacher", "expected"),
    [
        ("auto", 8, 8, Same),
        ("project", 8, 8, Same),
        ("lift", 8, 8, Same),
        ("auto", 8, 4, Lift),
        ("lift", 8, 4, Lift),
        ("project", 8, 4, Project),
        ("auto", 4, 8, Project),
        ("project", 4, 8, Project),
    ],
)
def test_choice(kind: AdapterKind, student: int, teacher: int, expected: type) -> None:
    adapter = make_adapter(kind, LossDims(student, teacher, 3), "Foo")
    assert isinstance(adapter, expected)
    left, right = adapter(torch.randn(2, student), torch.randn(5, teacher))
    assert left.shape[1] == right.shape[1]
    assert (len(left), len(right)) == (2, 5)


def test_a_wider_teacher_cannot_be_lifted() -> None:
    with pytest.raises(UserError, match="8-wide teacher cannot be lifted to the student's 4; use adapter=project"):
        make_adapter("lift", LossDims(4, 8, 3), "Foo")


def test_misspelt() -> None:
    with pytest.raises(UserError, match="adapter is 'lifted'; expected 'auto', 'project' or 'lift'"):
        make_adapter("lifted", LossDims(4, 8, 3), "Foo")  # type: ignore[arg-type]


def test_lift_keeps_the_teachers_cosines() -> None:
    teacher = torch.randn(6, 4)
    _, lifted = Lift(8, 4)(torch.randn(6, 8), teacher)
    torch.testing.assert_close(cosines(lifted, lifted), cosines(teacher, teacher))
    torch.testing.assert_close(lifted.norm(dim=1), teacher.norm(dim=1))


def test_lift_is_the_same_in_every_term_and_run_and_never_learned() -> None:
    torch.manual_seed(1)
    first = Lift(8, 4)
    torch.manual_seed(2)
    assert torch.equal(first.basis, Lift(8, 4).basis)
    assert list(first.parameters()) == []
    assert "basis" in first.state_dict()


def test_columns_are_orthonormal() -> None:
    q = orthonormal_columns(8, 4)
    torch.testing.assert_close(q.T @ q, torch.eye(4))


def test_columns_are_those_that_earlier_students_were_taught_in() -> None:
    """Later generations go on in the same space: first row of the basis for 8 from 4, by NumPy."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(8, 4, generator=generator, dtype=torch.float64).numpy()
    q, r = np.linalg.qr(drawn)
    expected = q * np.sign(np.diag(r))
    np.testing.assert_allclose(orthonormal_columns(8, 4).numpy(), expected, atol=1e-6)
    assert (np.diag(expected.T @ drawn) > 0).all()


@pytest.mark.parametrize(("student", "teacher"), [(8, 4), (4, 8)])
def test_projector_starts_semi_orthogonal_and_learns(student: int, teacher: int) -> None:
    adapter = Project(student, teacher)
    weight = adapter.linear.weight.detach()
    gram = weight @ weight.T if teacher <= student else weight.T @ weight
    torch.testing.assert_close(gram, torch.eye(min(student, teacher)))
    assert [p.requires_grad for p in adapter.parameters()] == [True]
