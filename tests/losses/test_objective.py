from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from distill.errors import UserError
from distill.losses.angular import AdaDistill, FrozenCentreMargin, UnitGap
from distill.losses.base import Loss
from distill.losses.feature import EmbeddingCosine, MapHint
from distill.losses.logit import ClassCentreKL
from distill.losses.margin import ArcFace
from distill.losses.objective import LossBreakdown, Objective, Schedule, Term
from distill.types import LossDims, LossInputs


class _FirstElement(Loss):
    """The first element of each embedding, so that sums are known by hand."""

    def __init__(self, needs_labels: bool = False) -> None:
        super().__init__()
        self.needs_labels = needs_labels

    def per_sample(self, step: LossInputs) -> Tensor:
        return step.student.embedding[:, 0]


def _three_families(sizes: LossDims) -> Objective:
    return Objective(
        {
            "margin": Term(ArcFace(sizes=sizes), 1.0, Schedule(warmup_fraction=0.5)),
            "embedding": Term(EmbeddingCosine(sizes=sizes), 14.0),
            "logit": Term(ClassCentreKL(sizes=sizes), 0.3, Schedule(decay_from_fraction=0.0, final_factor=0.0)),
            "hint": Term(MapHint("stage3", "stage4", sizes=sizes), 0.1),
        },
        sizes,
    )


def _with_centres(step: LossInputs, objective: Objective) -> LossInputs:
    return LossInputs(step.labels, step.student, objective.centres, step.teacher, step.teacher_centres)


def test_total_is_exactly_the_sum_of_the_weighted_terms(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    objective = _three_families(sizes)
    total = objective(_with_centres(make_step([0, 3, -1, 6]), objective), 0.25)
    assert list(total.raw) == list(total.weighted) == ["margin", "embedding", "logit", "hint"]
    assert total.loss.item() == sum(total.weighted.values(), torch.zeros(())).item()
    for name, factor in {"margin": 0.5, "embedding": 14.0, "logit": 0.3 * 0.75, "hint": 0.1}.items():
        torch.testing.assert_close(total.weighted[name], factor * total.raw[name])


def test_only_the_total_has_a_gradient(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    objective = _three_families(sizes)
    total = objective(_with_centres(make_step([0, 3, -1, 6]), objective), 0.25)
    assert total.loss.requires_grad
    assert not any(v.requires_grad for v in [*total.raw.values(), *total.weighted.values()])
    total.loss.backward()
    assert all(p.grad is not None for p in objective.parameters())


def test_each_image_weighs_the_same_whatever_its_batch(make_step: Callable[..., LossInputs]) -> None:
    """A label term over a mixed batch is what its labelled rows add, over all rows."""
    step = make_step([-1, 0, 5, -1])  # 0 is a person like every other
    total = Objective({"x": Term(_FirstElement(needs_labels=True), 3.0)}, LossDims(12, None, 7))(step, 0.0)
    first = step.student.embedding.detach()[:, 0]
    torch.testing.assert_close(total.loss.detach(), 3 * (first[1] + first[2]) / 4)
    total = Objective({"x": Term(_FirstElement())}, LossDims(12, None, 7))(step, 0.0)
    torch.testing.assert_close(total.loss.detach(), first.mean())


def test_label_terms_never_see_unlabelled_rows(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    step, known = make_step([4, -1, 2]), torch.tensor([0, 2])
    objective = Objective({"margin": Term(ArcFace(sizes=sizes))}, sizes)
    step = _with_centres(step, objective)
    alone = objective(step.pick(known), 0.0)
    torch.testing.assert_close(objective(step, 0.0).loss, alone.loss * 2 / 3)


def test_a_batch_without_labels_gives_zero_and_whole_gradients(
    sizes: LossDims, make_step: Callable[..., LossInputs]
) -> None:
    objective = Objective({"margin": Term(ArcFace(sizes=sizes))}, sizes)
    step = _with_centres(make_step([-1, -1]), objective)
    total = objective(step, 0.0)
    total.loss.backward()
    assert total.loss.item() == 0
    assert objective.centres.grad is not None
    assert objective.centres.grad.abs().sum() == 0
    assert step.student.embedding.grad is not None


def test_centres_are_learned_only_if_some_term_reads_them(sizes: LossDims) -> None:
    with_margin = Objective({"m": Term(ArcFace(sizes=sizes))}, sizes)
    assert isinstance(with_margin.centres, torch.nn.Parameter)
    assert with_margin.centres.shape == (7, 12)
    without = Objective({"e": Term(EmbeddingCosine(sizes=sizes))}, sizes)
    assert list(without.parameters()) == []
    assert without.centres.shape == (0, 12)
    assert "centres" not in without.state_dict()


def test_centres_start_small() -> None:
    torch.manual_seed(0)
    sizes = LossDims(64, None, 500)
    centres = Objective({"m": Term(ArcFace(sizes=sizes))}, sizes).centres
    assert centres.std().item() == pytest.approx(0.01, rel=0.02)


def test_weight_zero_switches_a_term_off(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    terms = {"margin": Term(ArcFace(sizes=sizes), 0.0), "embedding": Term(UnitGap(sizes=sizes), 7.0)}
    objective = Objective(terms, sizes)
    assert list(objective(make_step([0, 1]), 0.0).raw) == ["embedding"]
    assert list(objective.parameters()) == []
    assert not objective.needs_labels


def test_a_warming_term_is_computed_and_weighs_nothing_at_first(
    sizes: LossDims, make_step: Callable[..., LossInputs]
) -> None:
    objective = Objective({"e": Term(UnitGap(sizes=sizes), 7.0, Schedule(warmup_fraction=0.1))}, sizes)
    total = objective(make_step([0, 1]), 0.0)
    assert total.raw["e"] > 0
    assert total.loss == 0


def test_needs_are_unions(sizes: LossDims) -> None:
    objective = _three_families(sizes)
    assert (objective.needs_teacher, objective.needs_teacher_centres, objective.needs_labels) == (True, True, True)
    assert (objective.student_maps, objective.teacher_maps) == (("stage3",), ("stage4",))
    frozen = Objective({"f": Term(FrozenCentreMargin(sizes=sizes))}, sizes)
    assert (frozen.needs_teacher, frozen.needs_teacher_centres) == (False, True)
    margin = Objective({"m": Term(ArcFace(sizes=sizes))}, sizes)
    assert (margin.needs_teacher, margin.needs_teacher_centres, margin.student_maps) == (False, False, ())


def test_nonfinite_terms_are_named() -> None:
    one, nan, inf = torch.tensor(1.0), torch.tensor(float("nan")), torch.tensor(float("inf"))
    assert LossBreakdown(one, {"a": one}, {"a": one}).nonfinite() is None
    values = {"a": one, "b": nan, "c": inf}
    assert LossBreakdown(nan, values, values).nonfinite() == "b, c"


def test_a_nan_embedding_is_traced_to_its_terms(sizes: LossDims, make_step: Callable[..., LossInputs]) -> None:
    objective = _three_families(sizes)
    step = make_step([0, -1])
    with torch.no_grad():
        step.student.embedding[1] = float("nan")
    total = objective(_with_centres(step, objective), 0.5)
    assert total.nonfinite() == "embedding, logit"


def test_state_travels_under_the_names_of_the_terms(sizes: LossDims) -> None:
    objective = _three_families(sizes)
    assert set(objective.state_dict()) == {
        "centres",
        "losses.embedding.adapter.basis",
        "losses.hint.projector.weight",
        "losses.hint.projector.bias",
    }


def test_what_has_a_row_for_each_class_is_named(sizes: LossDims) -> None:
    terms = {"margin": Term(ArcFace(sizes=sizes)), "follow": Term(AdaDistill(sizes=sizes))}
    objective = Objective(terms, sizes)
    assert objective.class_rows == ("centres", "losses.follow.centres")
    assert all(len(objective.state_dict()[name]) == sizes.classes for name in objective.class_rows)
    assert Objective({"e": Term(EmbeddingCosine(sizes=sizes))}, sizes).class_rows == ()


@pytest.mark.parametrize("name", ["a.b", "", "2nd", "keys", "train", "half"])
def test_bad_names(name: str, sizes: LossDims) -> None:
    with pytest.raises(UserError, match="term is named"):
        Objective({name: Term(ArcFace(sizes=sizes))}, sizes)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_bad_weights(weight: float, sizes: LossDims) -> None:
    with pytest.raises(UserError, match="term margin: weight is"):
        Objective({"margin": Term(ArcFace(sizes=sizes), weight)}, sizes)


def test_no_terms(sizes: LossDims) -> None:
    with pytest.raises(UserError, match="at least one"):
        Objective({"margin": Term(ArcFace(sizes=sizes), 0.0)}, sizes)


# schedules of weights


def test_constant_unless_told() -> None:
    assert [Schedule()(p) for p in (0.0, 0.3, 1.0)] == [1, 1, 1]


def test_warm_up_constant_decay() -> None:
    schedule = Schedule(warmup_fraction=0.2, decay_from_fraction=0.6, final_factor=0.5)
    progress = [0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0]
    np.testing.assert_allclose([schedule(p) for p in progress], [0, 0.5, 1, 1, 1, 0.75, 0.5])


def test_cosine_decay() -> None:
    schedule = Schedule(decay_from_fraction=0.0, final_factor=0.0, decay="cosine")
    got = [schedule(p) for p in (0, 0.25, 0.5, 1)]
    np.testing.assert_allclose(got, [1, (1 + np.cos(np.pi / 4)) / 2, 0.5, 0], atol=1e-15)


def test_may_grow_at_the_end() -> None:
    assert Schedule(decay_from_fraction=0.5, final_factor=3.0)(1.0) == 3


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_continuous_and_bounded_past_both_ends(decay: str) -> None:
    schedule = Schedule(0.3, 0.5, 0.1, decay)  # type: ignore[arg-type]
    factors = np.array([schedule(p) for p in np.linspace(-0.1, 1.1, 2001)])
    assert np.abs(np.diff(factors)).max() < 0.01
    assert (factors[0], factors[-1]) == (0, pytest.approx(0.1))
    assert factors.min() >= 0
    assert factors.max() <= 1


@pytest.mark.parametrize(
    "options",
    [
        {"warmup_fraction": -0.1},
        {"warmup_fraction": 0.6, "decay_from_fraction": 0.5},
        {"decay_from_fraction": 1.5},
        {"decay_from_fraction": 0.5, "final_factor": -1.0},
        {"decay_from_fraction": 0.5, "final_factor": float("nan")},
        {"decay": "step"},
        {"final_factor": 0.5},
    ],
)
def test_bad_options(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match="schedule"):
        Schedule(**options)  # type: ignore[arg-type]
