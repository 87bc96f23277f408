from __future__ import annotations

import numpy as np
import pytest
import torch

from distill.losses.cosine import cosines, precise, row_cosines, unit
from reference.margin import cosine


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_at_least_float32(given: torch.dtype, kept: torch.dtype) -> None:
    assert precise(torch.ones(2, dtype=given)).dtype == kept
    assert unit(torch.ones(2, 3, dtype=given)).dtype == kept


def test_cosines_agree_with_loops() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((4, 6)), rng.standard_normal((4, 6))
    got = cosines(torch.from_numpy(a), torch.from_numpy(b))
    np.testing.assert_allclose(got, [[cosine(x, y) for y in b] for x in a], rtol=1e-12)
    np.testing.assert_allclose(row_cosines(torch.from_numpy(a), torch.from_numpy(b)), got.diagonal(), rtol=1e-12)


def test_a_zero_row_has_no_direction_and_no_gradient() -> None:
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    y = unit(x)
    assert y.tolist() == [[0, 0], [pytest.approx(0.6), pytest.approx(0.8)]]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad[0].tolist() == [0, 0]
    assert x.grad[1].abs().sum() > 0


@pytest.mark.parametrize("norm", [1e-4, 1.0, 1e15, 1e30])
def test_any_norm_is_finite(norm: float) -> None:
    x = (torch.tensor([[0.6, 0.8]]) * norm).requires_grad_()
    unit(x).square().sum().backward()
    assert unit(x).isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_gradient() -> None:
    a = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    b = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(cosines, (a, b))
    assert torch.autograd.gradcheck(row_cosines, (a, b[:3]))
