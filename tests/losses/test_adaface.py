from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from distill.errors import UserError
from distill.losses.adaface import AdaFace, LengthQuality, adaface
from distill.losses.base import Loss
from distill.losses.margin import arcface, cosface
from distill.types import LossDims, LossInputs, Output
from reference import margin as reference

LABELS = [0, 3, 3, 6, 1]


def _quality(mean: float, spread: float, dtype: torch.dtype = torch.float32) -> LengthQuality:
    quality = LengthQuality(0.333, 0.01).to(dtype)
    quality.mean.fill_(mean)
    quality.spread.fill_(spread)
    return quality


def test_agrees_with_loops(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    step, loss = make_step(LABELS, dtype=torch.float64), AdaFace(0.4, 0.333, 0.01, 30.0, sizes=sizes).eval()
    rows, centres = step.student.embedding.detach().numpy(), step.centres.detach().numpy()
    loss.quality = _quality(3.2, 0.5, torch.float64).eval()
    qualities = reference.length_qualities(rows, 3.2, 0.5, 0.333)
    assert len(set(qualities)) == 5
    expected = reference.adaface(rows, centres, np.array(LABELS), 30.0, 0.4, qualities)
    np.testing.assert_allclose(loss(step).detach(), expected, rtol=1e-10)


def test_between_arcface_and_cosface() -> None:
    cosine, labels = torch.tensor([[0.1, 0.5, -0.3], [0.7, 0.2, 0.0]]), torch.tensor([1, 2])
    worst, middle = -torch.ones(2), torch.zeros(2)
    torch.testing.assert_close(adaface(cosine, labels, worst, 0.4), arcface(cosine, labels, 0.4))
    torch.testing.assert_close(adaface(cosine, labels, middle, 0.4), cosface(cosine, labels, 0.4))


def test_gradient_for_every_quality() -> None:
    cosine = torch.tensor([[0.3, 0.1], [0.2, -0.5], [0.6, 0.7]], dtype=torch.float64, requires_grad=True)
    quality = torch.tensor([-1.0, 0.2, 1.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda c: adaface(c, torch.tensor([0, 1, 1]), quality, 0.4), (cosine,))


def test_a_good_image_on_the_wrong_side_gets_the_larger_gradient() -> None:
    """Figure 3 of the paper: far from the centre the good image is emphasised, near to it the bad one."""
    labels = torch.tensor([0, 0])
    quality = torch.tensor([1.0, -1.0])
    for cosine, larger in ((-0.3, 0), (0.6, 1)):
        c = torch.full((2, 1), cosine, requires_grad=True)
        adaface(c, labels, quality, 0.4).sum().backward()
        assert c.grad is not None
        assert int(c.grad[:, 0].argmax()) == larger


def test_statistics_are_running_means_that_only_training_moves() -> None:
    quality, rows = _quality(20.0, 100.0), torch.tensor([[3.0, 4.0], [0.0, 7.0], [2000.0, 0.0]])
    quality(rows)
    lengths = np.array([5.0, 7.0, 100.0])
    assert float(quality.mean) == pytest.approx(0.99 * 20 + 0.01 * lengths.mean())
    assert float(quality.spread) == pytest.approx(0.99 * 100 + 0.01 * lengths.std(ddof=1))
    before = {name: value.clone() for name, value in quality.state_dict().items()}
    quality(rows[:1])
    quality(rows[:0])
    quality.eval()(rows)
    assert all(torch.equal(value, before[name]) for name, value in quality.state_dict().items())


def test_quality_rises_with_the_length_within_its_range() -> None:
    lengths = torch.tensor([0.0, 10.0, 20.0, 23.0, 80.0])
    found = _quality(20.0, 5.0).eval()(lengths[:, None] * torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(found[[0, 2, 4]], torch.tensor([-1.0, 0.0, 1.0]), atol=1e-3, rtol=0)
    assert (found.diff() > 0).all()
    equal = _quality(20.0, 0.0).eval()(torch.full((3, 1), 20.0))
    assert torch.equal(equal, torch.zeros(3))


def test_a_resumed_run_continues_the_statistics(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    steps = [make_step(LABELS, seed=seed) for seed in range(3)]
    whole, first, second = (AdaFace(momentum=0.3, sizes=sizes) for _ in range(3))
    expected = [whole(step) for step in steps][-1]
    for step in steps[:2]:
        first(step)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second(steps[2]), expected)
    assert set(second.state_dict()) == {"quality.mean", "quality.spread"}


def test_sound(sizes: LossDims, sound: Callable[[Loss], None]) -> None:
    sound(AdaFace(sizes=sizes))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("factor", [1.0, -1.0, 0.0, 1e15, -1e15])
def test_extreme_embeddings_are_finite(dtype: torch.dtype, factor: float, sizes: LossDims) -> None:
    centres = torch.randn(7, 12, dtype=dtype, requires_grad=True)
    rows = (centres.detach()[LABELS] * factor).requires_grad_()
    loss = AdaFace(sizes=sizes).train()(LossInputs(torch.tensor(LABELS), Output(rows), centres))
    loss.sum().backward()
    assert loss.isfinite().all()
    for gradient in (rows.grad, centres.grad):
        assert gradient is not None
        assert gradient.isfinite().all()
        assert gradient.abs().max() < 1e4


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda s: AdaFace(margin=28.6, sizes=s), "margin is 28.6"),
        (lambda s: AdaFace(sharpness=0, sizes=s), "sharpness is 0"),
        (lambda s: AdaFace(momentum=1.5, sizes=s), "momentum is 1.5"),
        (lambda s: AdaFace(scale=-1, sizes=s), "scale is -1"),
        (lambda s: AdaFace(sizes=LossDims(4, None, 1)), "at least 2 identities"),
    ],
)
def test_bad_options(build: Callable[[LossDims], Loss], match: str, sizes: LossDims) -> None:
    with pytest.raises(UserError, match=match):
        build(sizes)
