"""The one module: steps, averages, guards, and a teacher that leaves no trace."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from distill.errors import UserError
from distill.losses.centres import Moments
from distill.losses.feature import EmbeddingCosine
from distill.losses.margin import CosFace
from distill.losses.objective import Objective, Term
from distill.students.vargnet import VarGNet
from distill.training.module import Distiller, GrowthGuard, LiveTeacher, StoredTeacher, TeacherOutputs, TrainingRecipe
from distill.training.settings import LearningRate, OptimizerName, OptimizerSettings
from distill.types import LossDims, Output, Preprocessing

TINY = {"widths": [8, 8, 8, 8], "units": [1, 1, 1], "last_channels": 8, "embedding_dim": 6}


class Faces(Dataset[dict[str, Tensor]]):
    """Eight noisy crops of four people."""

    def __init__(self) -> None:
        self.images = torch.randint(
            0, 256, (8, 3, 112, 112), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"images": self.images[index], "labels": torch.tensor(index % 4)}


class Mean:
    """A teacher of width 3: mean colours, and a record of what it was asked."""

    def __init__(self, value: float = 1.0) -> None:
        self.value, self.asked = value, 0

    def output(self, batch: Mapping[str, Any], maps: bool) -> Output:
        images = batch["images"]
        self.asked += 1
        assert not maps
        assert images.dtype == torch.uint8
        return Output(images.float().mean((2, 3)) * self.value)


class Looker:
    """A network of width 3 that keeps what it is shown."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def output(self, images: Tensor, maps: bool) -> Output:
        self.seen.append(images)
        return Output(images.float().mean((2, 3)))


def distiller(steps: int, teacher: TeacherOutputs | None = None, on_values=None, **recipe) -> Distiller:
    torch.manual_seed(0)
    student = VarGNet(**TINY)
    sizes = LossDims(6, None if teacher is None else 3, 4, student.map_channels)
    terms = {"margin": Term(CosFace(scale=16.0, margin=0.2, sizes=sizes))}
    if teacher is not None:
        terms["embedding"] = Term(EmbeddingCosine(sizes=sizes), weight=2.0)
    settings = TrainingRecipe(steps, OptimizerSettings(lr=1e-2), LearningRate(warmup_fraction=0.0), **recipe)
    return Distiller(student, Objective(terms, sizes), settings, Preprocessing(), teacher, None, on_values)


def fit(module: Distiller, epochs: int, **trainer) -> pl.Trainer:
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    engine = pl.Trainer(accelerator="cpu", max_epochs=epochs, **quiet, **trainer)
    engine.fit(module, DataLoader(Faces(), batch_size=4))
    return engine


def test_terms_are_reported_raw_and_weighted_and_sum_to_the_loss():
    seen: list[tuple[int, Mapping[str, float]]] = []
    fit(distiller(4, Mean(), lambda step, values: seen.append((step, values))), 2)
    assert [step for step, _ in seen] == [1, 2, 3, 4]
    for _, values in seen:
        assert values["weighted/embedding"] == pytest.approx(2 * values["raw/embedding"])
        assert values["loss"] == pytest.approx(values["weighted/margin"] + values["weighted/embedding"], rel=1e-5)
    assert [v["lr"] for _, v in seen] == pytest.approx(
        [1e-2 * LearningRate(warmup_fraction=0.0).factor(s, 4) for s in range(4)]
    )


def test_training_changes_student_and_centres_and_asks_the_teacher_once_a_step():
    teacher = Mean()
    module = distiller(4, teacher)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    fit(module, 2)
    assert teacher.asked == 4
    changed = {k for k, v in module.state_dict().items() if not torch.equal(v, before[k])}
    assert {"objective.centres", "student.stem.0.weight"} <= changed


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_centres_of_a_run_before_bring_their_second_moments(name):
    """The first step of such a centre is AdamW's after many, not its first, which goes by the whole rate."""
    module = distiller(1)
    module.recipe = replace(module.recipe, optimizer=OptimizerSettings(name=name, lr=1e-2, head_lr_factor=1.0))
    second, before = torch.full((4, 6), 0.04), module.objective.centres.detach().clone()
    module.objective.moments = Moments(second, 1000)
    gradients: list[Tensor] = []
    module.objective.centres.register_hook(lambda gradient: gradients.append(gradient.clone()))
    engine = fit(module, 1, limit_train_batches=1)
    gradient = gradients[0].double()
    moved = 0.999 * second.double() + 0.001 * gradient**2
    step = 1e-2 * (0.1 * gradient / (1 - 0.9**1001)) / ((moved / (1 - 0.999**1001)).sqrt() + 1e-8)
    expected = before.double() * (1 - 1e-2 * 0.05) - step
    torch.testing.assert_close(module.objective.centres.detach().double(), expected, atol=1e-7, rtol=1e-5)
    after = module.centre_moments()
    assert after is not None
    assert after.steps == 1001
    torch.testing.assert_close(after.second.double(), moved, atol=1e-9, rtol=1e-5)
    assert engine.global_step == 1


def test_an_optimiser_without_second_moments_leaves_none():
    module = distiller(1)
    module.recipe = replace(module.recipe, optimizer=OptimizerSettings(name=OptimizerName.sgd, lr=1e-2))
    module.objective.moments = Moments(torch.ones(4, 6), 1000)
    fit(module, 1, limit_train_batches=1)
    assert module.centre_moments() is None


def test_a_run_begins_with_small_crops_and_the_teacher_sees_whole_ones():
    seen: list[Tensor] = []
    teacher = Looker()
    module = distiller(4, LiveTeacher(teacher), small_px=64, small_fraction=0.5)
    module.student.get_submodule("stem").register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    fit(module, 2)
    assert [tuple(pixels.shape) for pixels in seen] == [(4, 3, 64, 64)] * 2 + [(4, 3, 112, 112)] * 2
    batches = Faces().images.split(4)
    assert len(teacher.seen) == 4
    assert all(torch.equal(shown, batches[k % 2]) for k, shown in enumerate(teacher.seen)), "as they are, every time"
    assert all(torch.equal(shown, Preprocessing()(batches[k])) for k, shown in enumerate(seen[2:]))
    for small, whole in zip(seen[:2], batches, strict=True):
        rows = small.mean((2, 3)) - Preprocessing()(whole).mean((2, 3))
        assert rows.abs().max() < 0.01, "small crops are of the same faces"


@pytest.mark.parametrize("channels_last", [True, False])
def test_crops_have_the_memory_format_that_the_recipe_says(channels_last: bool):
    seen: list[bool] = []
    module = distiller(2, channels_last=channels_last)

    def look(_: nn.Module, given: tuple[Tensor]) -> None:
        seen.append(given[0].is_contiguous(memory_format=torch.channels_last))

    module.student.get_submodule("stem").register_forward_pre_hook(look)
    fit(module, 1)
    assert seen == [channels_last] * 2


def test_a_store_gives_what_was_stored_in_float32_and_maps_where_they_are_wanted():
    stored = {"embedding": torch.ones(2, 3).half() / 3, "stage4": torch.ones(2, 1, 7, 7).half()}
    plain, with_maps = (StoredTeacher().output({"stored": dict(stored)}, maps) for maps in (False, True))
    assert plain.embedding.dtype == with_maps.maps["stage4"].dtype == torch.float32
    assert torch.equal(plain.embedding, stored["embedding"].float())
    assert (list(plain.maps), list(with_maps.maps)) == ([], ["stage4"])


@pytest.mark.parametrize("wrong", [{"small_px": 72}, {"small_px": 16}, {"small_px": 128}, {"small_fraction": 1.5}])
def test_impossible_crops_are_refused(wrong):
    with pytest.raises(UserError, match=r"^trainer\.small_"):
        distiller(1, **wrong)


def test_a_teacher_is_needed_only_where_a_term_asks():
    module = distiller(1, Mean())
    with pytest.raises(UserError, match="teacher"):
        Distiller(module.student, module.objective, module.recipe, Preprocessing())
    fit(distiller(2), 1)


def test_average_follows_its_formula_with_accumulation():
    weights: list[Tensor] = []

    class Watched(Distiller):
        def optimizer_step(self, *args, **kwargs):
            super().optimizer_step(*args, **kwargs)
            weights.append(self.student.stem[0].weight.detach().clone())  # pyright: ignore

    plain = distiller(3, ema_decay=0.5)
    module = Watched(plain.student, plain.objective, plain.recipe, Preprocessing())
    fit(module, 3, accumulate_grad_batches=2)
    expected = weights[0]
    for weight in weights[1:]:
        expected = 0.5 * expected + 0.5 * weight
    assert len(weights) == 3
    assert torch.allclose(module.trained.stem[0].weight, expected, atol=1e-7)  # pyright: ignore


def test_statistics_of_norms_are_averaged_as_weights_are():
    module, seen = distiller(3, ema_decay=0.5), []
    norm = module.student.get_submodule("stem.1")
    optimised = module.optimizer_step

    def step(*args, **kwargs) -> None:
        optimised(*args, **kwargs)
        seen.append(norm.running_mean.clone())  # pyright: ignore

    module.optimizer_step = step
    fit(module, 2)
    expected = seen[0]
    for statistics in seen[1:]:
        expected = 0.5 * expected + 0.5 * statistics
    assert torch.allclose(module.trained.get_submodule("stem.1").running_mean, expected, atol=1e-6)  # pyright: ignore
    assert not torch.allclose(expected, seen[-1], atol=1e-4)


def test_without_average_the_student_itself_is_trained():
    module = distiller(1)
    assert module.trained is module.student


def test_nan_stops_with_step_term_and_checkpoint():
    module = distiller(4, Mean(math.nan))
    module.last_checkpoint = "runs/x/last.ckpt"
    with pytest.raises(UserError, match=r"step 0: the loss term 'embedding' is not finite.*runs/x/last\.ckpt"):
        fit(module, 2)


def test_growth_is_noticed_when_it_lasts():
    guard = GrowthGuard(10.0)
    assert all(guard.grown({"a": v}) is None for v in [1.0, 40.0, 1.0, 1.0, 2.0])
    found = [guard.grown({"a": 100.0}) for _ in range(30)]
    assert found[-1] is not None
    assert found[-1][0] == "a"


@pytest.mark.parametrize(
    ("start", "value", "ends"),
    [(1.0, 10.9, False), (1.0, 11.2, True), (0.0, 0.9, False), (0.0, 1.2, True), (-2.0, 20.5, False), (-2.0, 22, True)],
)
def test_a_loss_may_grow_by_its_factor_and_one_unit(start: float, value: float, ends: bool):
    guard = GrowthGuard(10.0)
    assert guard.grown({"a": start}) is None
    assert any(guard.grown({"a": value}) for _ in range(80)) == ends


def test_training_stops_where_a_raw_term_has_grown():
    seen: list[Mapping[str, float]] = []
    module = distiller(8, Mean(), lambda step, values: seen.append(values), max_loss_growth=1.5)
    fit(module, 1, limit_train_batches=1)
    assert module._guard.start == {name: seen[0][f"raw/{name}"] for name in ("margin", "embedding")}
    assert seen[0]["raw/embedding"] != seen[0]["weighted/embedding"]
    stopped = distiller(8, Mean(), max_loss_growth=1.5)
    stopped._guard.start = {"margin": 1e-3}
    stopped._guard._smooth = {"margin": 1e3}
    with pytest.raises(UserError, match=r"step 0: the loss term 'margin' has grown to \d+\.?\d*, 1\.5 times its start"):
        fit(stopped, 1)


def test_a_run_that_goes_on_remembers_start_time_and_random_numbers():
    """A loss that had doubled before the run was stopped has doubled after it as well."""
    first, second = distiller(2), distiller(2)
    first._guard.grown({"a": 1.0})
    first._guard.grown({"a": 5.0})
    first._earlier_s = 500.0
    saved: dict[str, Any] = {}
    first.on_save_checkpoint(saved)
    draws = torch.rand(3)
    torch.manual_seed(99)
    second.on_load_checkpoint(saved)
    assert torch.equal(torch.rand(3), draws)
    assert 500 <= second.trained_s < 600
    assert second._guard.start == {"a": 1.0}
    assert second._guard.grown({"a": 90.0}) is None, "one odd batch, the first after the stop, is no explosion"
    assert any(second._guard.grown({"a": 20.0}) for _ in range(30))


def test_checkpoint_holds_no_teacher_and_loads_as_weights_only(tmp_path):
    plain = distiller(2, Mean())
    module = Distiller(plain.student, plain.objective, plain.recipe, Preprocessing(), Mean(), torch.ones(4, 3))
    engine = fit(module, 1)
    engine.save_checkpoint(tmp_path / "x.ckpt")
    content = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert {k.split(".")[0] for k in content["state_dict"]} == {"student", "objective"}
    optimised = sum(len(g["params"]) for g in content["optimizer_states"][0]["param_groups"])
    assert optimised == len(list(module.student.parameters())) + 1


def test_compiled_forward_is_no_child():
    module = distiller(1, compile=True)
    assert {n for n, _ in module.named_children()} == {"student", "objective"}
    assert isinstance(module, nn.Module)


@pytest.mark.parametrize("wrong", [{"ema_decay": 1.0}, {"max_loss_growth": 1.0}])
def test_wrong_recipes_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        distiller(1, **wrong)
