from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from distill.errors import UserError
from distill.losses import angular
from distill.losses.angular import AdaDistill, FrozenCentreMargin, MarginDistillation, UnitGap
from distill.losses.base import Loss
from distill.types import LossDims, LossInputs, Output
from reference import angular as reference
from reference import feature as feature_reference
from reference import margin as margin_reference

LABELS = [0, 3, 3, 6, 1]
SAME = LossDims(6, 6, 7)


def _draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def _step(labels: list[int], student: torch.Tensor, teacher: torch.Tensor, centres: torch.Tensor) -> LossInputs:
    """A step whose student is as wide as its teacher."""
    return LossInputs(torch.tensor(labels), Output(student), torch.empty(0, 6), Output(teacher), centres)


def test_eq_5_agrees_with_loops() -> None:
    s, t = _draw(5, 6), _draw(5, 6, seed=1)
    gap = feature_reference.cosine_gap(s.numpy(), t.numpy())
    step = _step(LABELS, s, t, _draw(7, 6))
    np.testing.assert_allclose(UnitGap(sizes=SAME)(step), 2 * gap, rtol=1e-12)


@pytest.mark.parametrize(("kind", "margin"), [("arc", 0.5), ("cos", 0.35)])
def test_frozen_centres_agree_with_loops(kind: angular.MarginKind, margin: float) -> None:
    s, centres = _draw(5, 6), _draw(7, 6, seed=1)
    slow = margin_reference.arcface if kind == "arc" else margin_reference.cosface
    expected = slow(s.numpy(), centres.numpy(), np.array(LABELS), 30.0, margin)
    step = LossInputs(torch.tensor(LABELS), Output(s), torch.empty(0, 6), None, centres)
    np.testing.assert_allclose(FrozenCentreMargin(kind, margin, 30.0, sizes=SAME)(step), expected, rtol=1e-10)


def test_margin_distillation_agrees_with_loops() -> None:
    s, t, centres, y = _draw(5, 6), _draw(5, 6, seed=1), _draw(7, 6, seed=2), np.array(LABELS)
    margins = reference.teacher_margins(t.numpy(), centres.numpy(), y, 0.2, 0.3)
    expected = margin_reference.arcface(s.numpy(), centres.numpy(), y, 30.0, margins)
    got = MarginDistillation(0.2, 0.3, 30.0, sizes=SAME)(_step(LABELS, s, t, centres))
    np.testing.assert_allclose(got, expected, rtol=1e-10)


def test_teacher_margins_stay_in_range_and_rise_with_certainty() -> None:
    margins = angular.teacher_margins(torch.tensor([-0.5, 0.0, 0.2, 0.4, 0.8]), 0.2, 0.3)
    torch.testing.assert_close(margins, torch.tensor([0.2, 0.2, 0.275, 0.35, 0.5]))
    poor = angular.teacher_margins(torch.tensor([-0.5, -0.1]), 0.2, 0.3)
    torch.testing.assert_close(poor, torch.tensor([0.2, 0.2]))


BUILDS: list[Callable[[LossDims], Loss]] = [
    lambda s: UnitGap(sizes=s),
    lambda s: UnitGap("project", sizes=s),
    lambda s: FrozenCentreMargin(sizes=s),
    lambda s: FrozenCentreMargin("cos", 0.35, adapter="project", sizes=s),
    lambda s: MarginDistillation(sizes=s),
    lambda s: MarginDistillation(adapter="project", sizes=s),
    lambda s: AdaDistill(sizes=s),
    lambda s: AdaDistill("cos", 0.35, adapter="project", sizes=s),
    lambda s: AdaDistill("ada", 0.4, sizes=s),
]


@pytest.mark.parametrize("build", BUILDS)
def test_sound(build: Callable[[LossDims], Loss], sizes: LossDims, sound: Callable[[Loss], None]) -> None:
    sound(build(sizes))


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("factor", [1.0, -1.0, 0.0, 1e15])
def test_extreme_embeddings_are_finite(build: Callable[[LossDims], Loss], factor: float) -> None:
    centres = torch.randn(7, 6, dtype=torch.bfloat16)
    student = (centres[LABELS] * factor).requires_grad_()
    loss = build(SAME).train()(_step(LABELS, student, centres[LABELS] * factor, centres))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_adaptive_centres_agree_with_loops_duplicates_too() -> None:
    centres, t = _draw(7, 6), _draw(5, 6, seed=1)
    agreement = torch.tensor([0.9, -0.5, 0.3, 1.0, 0.0], dtype=torch.float64)
    expected = reference.adapted_centres(centres.numpy(), np.array(LABELS), t.numpy(), agreement.numpy())
    classes, moved = angular.adapted_centres(centres, torch.tensor(LABELS), t, agreement)
    assert classes.tolist() == [0, 1, 3, 6]
    np.testing.assert_allclose(moved, expected[classes], rtol=1e-12)


def test_adaptive_centres_do_not_depend_on_the_order_of_duplicates() -> None:
    centres, t, agreement = _draw(7, 6), _draw(5, 6, seed=1), _draw(5, seed=2)
    labels, rows = torch.tensor([3, 3, 3, 1, 1]), torch.tensor([4, 2, 0, 1, 3])
    first = angular.adapted_centres(centres, labels, t, agreement)
    again = angular.adapted_centres(centres, labels[rows], t[rows], agreement[rows])
    assert torch.equal(first[0], again[0])
    torch.testing.assert_close(first[1], again[1])
    repeat = angular.adapted_centres(centres, labels, t, agreement)
    assert torch.equal(first[1], repeat[1])


def test_agreement_keeps_a_centre_and_disagreement_replaces_it() -> None:
    t = torch.nn.functional.normalize(_draw(1, 6))
    label = torch.tensor([2])
    centres = torch.zeros(7, 6, dtype=torch.float64)
    centres[2] = t[0]
    _, kept = angular.adapted_centres(centres, label, -t, torch.ones(1, dtype=torch.float64))
    torch.testing.assert_close(kept, -t)  # opposite to the old centre: a = 0
    _, kept = angular.adapted_centres(centres, label, t + 0.1, torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(kept, torch.nn.functional.normalize(t + 0.1))
    _, kept = angular.adapted_centres(centres, label, 5 * t, torch.ones(1, dtype=torch.float64))
    torch.testing.assert_close(kept, t)


def test_adadistill_moves_first_then_takes_the_loss(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    step, loss = make_step(LABELS), AdaDistill("arc", 0.45, 30.0, sizes=sizes)
    before = loss.centres.clone()
    values = loss.train()(step)
    untouched = [2, 4, 5]
    assert torch.equal(loss.centres[untouched], before[untouched])
    assert not torch.isclose(loss.centres[[0, 1, 3, 6]], before[[0, 1, 3, 6]]).all(1).any()
    student, lifted = loss.adapter(step.student.embedding, loss.centres)
    slow = margin_reference.arcface(
        student.detach().double().numpy(), lifted.double().numpy(), np.array(LABELS), 30.0, 0.45
    )
    np.testing.assert_allclose(values.detach(), slow, rtol=1e-4)


def test_adadistill_with_adaface_has_a_margin_by_length(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    step, loss = make_step(LABELS, dtype=torch.float64), AdaDistill("ada", 0.4, 30.0, sizes=sizes).double().eval()
    assert loss.quality is not None
    loss.quality.mean.fill_(3.2)
    loss.quality.spread.fill_(0.5)
    student, lifted = (x.detach().numpy() for x in loss.adapter(step.student.embedding, loss.centres))
    qualities = margin_reference.length_qualities(student, 3.2, 0.5, 0.333)
    slow = margin_reference.adaface(student, lifted, np.array(LABELS), 30.0, 0.4, qualities)
    np.testing.assert_allclose(loss(step).detach(), slow, rtol=1e-6)  # the adapter's basis is float32
    before = loss.quality.mean.clone()
    loss.train()(step)
    assert loss.quality.mean < before


def test_adadistill_is_still_in_evaluation(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    loss = AdaDistill(sizes=sizes).eval()
    before = loss.centres.clone()
    loss(make_step(LABELS))
    assert torch.equal(loss.centres, before)


def test_adadistill_centres_are_state_without_gradient(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    loss = AdaDistill(adapter="project", sizes=sizes)
    loss(make_step(LABELS)).sum().backward()
    assert [name for name, _ in loss.named_parameters()] == ["adapter.linear.weight"]
    assert not loss.centres.requires_grad
    copy = AdaDistill(adapter="project", sizes=sizes)
    copy.load_state_dict(loss.state_dict())
    assert torch.equal(copy.centres, loss.centres)


def test_adadistill_centres_settle_on_the_teachers_means() -> None:
    """With a student that has learnt nothing, a class's centre is the teacher's last mean direction."""
    torch.manual_seed(0)
    loss = AdaDistill(sizes=SAME)
    teacher = torch.randn(4, 6)
    loss(_step([2, 2, 2, 2], torch.zeros(4, 6), teacher, torch.empty(7, 6)))
    torch.testing.assert_close(loss.centres[2], torch.nn.functional.normalize(teacher).mean(0))


def test_needs() -> None:
    frozen, ada, margin = FrozenCentreMargin(sizes=SAME), AdaDistill(sizes=SAME), MarginDistillation(sizes=SAME)
    assert (frozen.needs_teacher, frozen.needs_teacher_centres) == (False, True)
    assert (ada.needs_teacher, ada.needs_teacher_centres) == (True, False)
    assert (margin.needs_teacher, margin.needs_teacher_centres) == (True, True)
    assert all(loss.needs_labels and not loss.needs_centres for loss in (frozen, ada, margin))


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda s: FrozenCentreMargin("ark", sizes=s), "kind is 'ark'"),  # type: ignore[arg-type]
        (lambda s: FrozenCentreMargin(margin=28.6, sizes=s), "margin is 28.6"),
        (lambda s: FrozenCentreMargin("cos", 1.2, sizes=s), "from 0 to 1$"),
        (lambda s: MarginDistillation(lowest_rad=1.0, range_rad=1.0, sizes=s), "margin is 2.0"),
        (lambda s: AdaDistill(scale=-1, sizes=s), "scale is -1"),
        (lambda s: AdaDistill("mag", sizes=s), "kind is 'mag'; expected 'arc' .*or 'ada'"),  # type: ignore[arg-type]
        (lambda s: FrozenCentreMargin("ada", sizes=s), "expected 'arc' .radians. or 'cos'$"),  # type: ignore[arg-type]
    ],
)
def test_bad_options(build: Callable[[LossDims], Loss], match: str, sizes: LossDims) -> None:
    with pytest.raises(UserError, match=match):
        build(sizes)


def test_no_teacher() -> None:
    for kind in (UnitGap, FrozenCentreMargin, MarginDistillation, AdaDistill):
        with pytest.raises(UserError, match=f"{kind.__name__} needs a teacher"):
            kind(sizes=LossDims(8, None, 4))
