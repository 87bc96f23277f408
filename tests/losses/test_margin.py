from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from distill.errors import UserError
from distill.losses.base import Loss
from distill.losses.cosine import cosines
from distill.losses.margin import ArcFace, ArcNegFace, CosFace, add_angle, arcface, arcnegface, cosface
from distill.types import LossDims, LossInputs, Output
from reference import margin as reference

LABELS = [0, 3, 3, 6, 1]
Case = tuple[Callable[[LossDims], Loss], Callable[..., np.ndarray], object]

CASES: dict[str, Case] = {
    "cosface": (lambda s: CosFace(30.0, 0.35, sizes=s), reference.cosface, 0.35),
    "arcface": (lambda s: ArcFace(30.0, 0.5, sizes=s), reference.arcface, 0.5),
    "arcnegface": (lambda s: ArcNegFace(30.0, 0.5, 1.1, 1.8, sizes=s), reference.arcnegface, (0.5, 1.1, 1.8)),
}


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_loops(name: str, sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    build, slow, margins = CASES[name]
    step = make_step(LABELS, dtype=torch.float64)
    rows, centres = step.student.embedding.detach().numpy(), step.centres.detach().numpy()
    expected = slow(rows, centres, np.array(LABELS), 30.0, margins)
    np.testing.assert_allclose(build(sizes)(step).detach(), expected, rtol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_sound(name: str, sizes: LossDims, sound: Callable[[Loss], None]) -> None:
    sound(CASES[name][0](sizes))


@pytest.mark.parametrize(
    "logits",
    [
        lambda c, y: cosface(c, y, 0.35),
        lambda c, y: arcface(c, y, 0.5),
    ],
)
def test_gradient(logits: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Past pi too: the first row's true cosine is -0.98."""
    cosine = torch.tensor([[-0.98, 0.3, 0.1], [0.2, 0.7, -0.5]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c: logits(c, torch.tensor([0, 1])), (cosine,))


def test_gradient_of_arcnegface_takes_t_as_a_constant() -> None:
    labels = torch.tensor([1])
    cosine = torch.tensor([[0.1, 0.6, 0.4]], dtype=torch.float64, requires_grad=True)
    arcnegface(cosine, labels, 0.5).sum().backward()
    a = math.cos(math.acos(0.6) + 0.5)
    t = [1.2 * math.exp(-((c - a) ** 2) / 2) for c in (0.1, 0.4)]
    assert cosine.grad is not None
    expected = [t[0], math.sin(math.acos(0.6) + 0.5) / math.sin(math.acos(0.6)), t[1]]
    np.testing.assert_allclose(cosine.grad[0], expected, rtol=1e-6)


def test_falls_with_the_angle_without_a_jump_past_pi() -> None:
    theta = torch.linspace(0.01, math.pi - 0.01, 2001, dtype=torch.float64)
    values = add_angle(theta.cos(), 0.5)
    steps = values.diff()
    assert (steps < 0).all()
    assert steps.abs().max() < 2 * (theta[1] - theta[0])
    assert values[-1] < -1


@pytest.mark.parametrize("cosine", [-1.0, -0.999, -0.5, 0.0, 0.5, 0.999])
def test_loss_grows_with_the_margin(cosine: float) -> None:
    margins = torch.linspace(0, math.pi / 2, 50, dtype=torch.float64)
    values = add_angle(torch.full_like(margins, cosine), margins)
    assert (values.diff() < 0).all()


def test_no_margin_is_plain_softmax(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    step = make_step(LABELS)
    plain = torch.nn.functional.cross_entropy(
        64 * cosines(step.student.embedding, step.centres), step.labels, reduction="none"
    )
    for loss in (CosFace(64, 0.0, sizes=sizes), ArcFace(64, 0.0, sizes=sizes)):
        torch.testing.assert_close(loss(step), plain, rtol=1e-4, atol=1e-4)


def test_free_of_norms(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    step = make_step(LABELS, dtype=torch.float64)
    scaled = LossInputs(step.labels, Output(step.student.embedding * 37), step.centres * 0.02)
    torch.testing.assert_close(ArcFace(sizes=sizes)(scaled), ArcFace(sizes=sizes)(step))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("factor", [1.0, -1.0, 0.0, 1e15, -1e15])
def test_extreme_embeddings_are_finite(name: str, dtype: torch.dtype, factor: float, sizes: LossDims) -> None:
    """Cosines of exactly +-1 to the own centre, zero vectors and huge norms."""
    centres = torch.randn(7, 12, dtype=dtype, requires_grad=True)
    rows = (centres.detach()[LABELS] * factor).requires_grad_()
    loss = CASES[name][0](sizes)(LossInputs(torch.tensor(LABELS), Output(rows), centres))
    loss.sum().backward()
    assert loss.isfinite().all()
    for gradient in (rows.grad, centres.grad):
        assert gradient is not None
        assert gradient.isfinite().all()
        assert gradient.abs().max() < 1e4


@pytest.mark.parametrize(
    "build",
    [
        lambda s: ArcFace(margin_rad=28.6, sizes=s),
        lambda s: ArcFace(margin_rad=-0.1, sizes=s),
        lambda s: ArcFace(scale=0, sizes=s),
        lambda s: CosFace(margin=1.5, sizes=s),
        lambda s: ArcNegFace(sigma=0, sizes=s),
        lambda s: ArcNegFace(alpha=-1, sizes=s),
    ],
)
def test_bad_options(build: Callable[[LossDims], Loss], sizes: LossDims) -> None:
    with pytest.raises(UserError, match="expected a"):
        build(sizes)
