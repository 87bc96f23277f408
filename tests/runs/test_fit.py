"""From configuration to Lightning: lengths, recipes, objectives, and a run that was stopped and resumes."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.config.groups import (
    ObjectiveConf,
    TermConf,
    TrainerConf,
)
from distill.data.augment import Augmentation
from distill.data.pairs import read_pairs
from distill.data.recordio import RecordIOSet
from distill.data.views import NewViews
from distill.errors import UserError
from distill.runs.assemble import build_objective, length, machine_for, recipe, seed_everything, sizes_of
from distill.runs.fit import Training, TrainingData, fit
from distill.runs.folder import RunFolder
from distill.training.machine import Machine
from distill.training.settings import LearningRate, OptimizerName, OptimizerSettings, ScheduleKind
from distill.types import LossDims, Output
from reference.tiny_network import TinyNetwork

MARGIN = {"_target_": "distill.losses.margin.CosFace"}
COSINE = {"_target_": "distill.losses.feature.EmbeddingCosine"}
HINT = {"_target_": "distill.losses.feature.MapHint", "student_map": "stage4", "teacher_map": "stage4"}
CPU = Machine("cpu", "fp32", channels_last=True, compile=False, workers=0, threads=1)


def conf(**options) -> TrainerConf:
    return TrainerConf(name="test", **{"images": 640, "batch_size": 8, **options})


@pytest.mark.parametrize(
    ("options", "steps", "intervals"),
    [
        ({}, 80, 1),
        ({"checkpoint_every_steps": 30}, 80, 3),
        ({"accumulate": 4}, 20, 1),
        ({"accumulate": 4, "checkpoint_every_steps": 20}, 20, 1),
        ({"images": 647}, 80, 1),
        ({"images": 3}, 1, 1),
        ({"images": None, "epochs": 2}, 25, 1),
        ({"images": None, "epochs": 0.5}, 6, 1),
    ],
)
def test_length(options: dict, steps: int, intervals: int):
    run = length(conf(**options), images=100, seed=5)
    assert (run.steps, run.intervals) == (steps, intervals)
    assert run.images == steps * 8 * options.get("accumulate", 1)
    assert run.steps_per_interval <= run.steps


def test_the_plan_counts_batches_where_the_run_counts_steps():
    plan = length(conf(accumulate=4, checkpoint_every_steps=7), 100, 5).plan()
    assert (plan.total_steps, plan.steps_per_interval, plan.batch_size, plan.seed) == (80, 28, 8, 5)


@pytest.mark.parametrize(("images", "epochs"), [(None, None), (640, 2.0)])
def test_exactly_one_of_images_and_epochs(images: int | None, epochs: float | None):
    with pytest.raises(UserError, match=rf"images is {images} and trainer\.epochs is {epochs}; expected exactly one"):
        length(conf(images=images, epochs=epochs), 100, 5)


@pytest.mark.parametrize("name", ["batch_size", "accumulate", "checkpoint_every_steps", "validate_every_steps"])
def test_counts_begin_at_1(name: str):
    with pytest.raises(UserError, match=rf"trainer\.{name} is 0; expected at least 1"):
        length(conf(**{name: 0}), 100, 5)


def test_scores_during_training_need_a_pair_for_each_of_ten_folds():
    with pytest.raises(UserError, match=r"trainer\.validate_pairs is 9; expected at least 10"):
        length(conf(validate_pairs=9), 100, 5)


def test_recipe_says_all_that_the_configuration_says():
    trainer = conf(
        optimizer=OptimizerSettings(OptimizerName.sgd, 0.2, 1e-4, (0.8, 0.9), 0.7, True, 0.3),
        schedule=LearningRate(ScheduleKind.multistep, 0.3, 0.4, [0.5, 0.6], 0.2),
        small_px=64,
        small_fraction=0.25,
        ema_decay=0.5,
        max_loss_growth=3.0,
    )
    found = recipe(trainer, length(trainer, 100, 5), replace(CPU, channels_last=False, compile=True))
    optimizer, schedule = found.optimizer, found.schedule
    assert (optimizer.name, optimizer.lr, optimizer.weight_decay) == ("sgd", 0.2, 1e-4)
    assert (optimizer.betas, optimizer.momentum, optimizer.nesterov) == ((0.8, 0.9), 0.7, True)
    assert optimizer.head_lr_factor == 0.3
    assert (schedule.kind, schedule.warmup_fraction, schedule.final_factor) == ("multistep", 0.3, 0.4)
    assert (schedule.milestones, schedule.gamma) == ([0.5, 0.6], 0.2)
    assert (found.total_steps, found.ema_decay, found.max_loss_growth) == (80, 0.5, 3.0)
    assert (found.small_px, found.small_fraction) == (64, 0.25)
    assert (found.channels_last, found.compile) == (False, True)


def test_the_machine_is_told_the_length_of_the_run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("distill.training.machine.can_compile", lambda: True)
    long = conf(images=10**6)
    assert machine_for(long, length(long, 100, 5)).compile
    assert not machine_for(conf(), length(conf(), 100, 5)).compile


def test_a_term_of_weight_0_is_not_built():
    sizes = sizes_of(TinyNetwork(), None, 5)
    terms = {"margin": TermConf(MARGIN, weight=2.0), "hint": TermConf(HINT, weight=0.0)}
    objective = build_objective(ObjectiveConf("mine", terms), sizes)
    assert set(objective.terms) == {"margin"}
    assert not objective.needs_teacher
    with pytest.raises(UserError, match="MapHint needs a teacher"):
        build_objective(ObjectiveConf("mine", {"hint": TermConf(HINT)}), sizes)


def test_weights_and_schedules_reach_the_terms():
    term = TermConf(MARGIN, weight=3.0, warmup_fraction=0.2, decay_from_fraction=0.6, final_factor=0.1)
    built = build_objective(ObjectiveConf("mine", {"margin": term}), LossDims(8, None, 5)).terms["margin"]
    assert built.weight == 3.0
    assert [built.schedule(p) for p in (0.0, 0.1, 0.4, 1.0)] == pytest.approx([0.0, 0.5, 1.0, 0.1])


@pytest.mark.parametrize("terms", [{}, {"margin": TermConf(MARGIN, weight=0.0)}, {"margin": TermConf(MARGIN, -1.0)}])
def test_an_objective_without_a_goal_is_refused(terms: dict):
    with pytest.raises(UserError, match="objective"):
        build_objective(ObjectiveConf("mine", terms), LossDims(8, None, 5))


class Killed(Exception):
    """What stops the run of a test."""


class Killer:
    """A sink that ends the run in the middle of a step."""

    def __init__(self, at_step: int) -> None:
        self._at_step = at_step

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if step == self._at_step and "loss" in values:
            raise Killed


def train(
    root: Path, folder: Path, *sinks: Killer, network: type[TinyNetwork] = TinyNetwork, max_damaged: int = 0, **options
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Nine steps in intervals of two, two batches to a step; the weights at the end and what was last reported."""
    folder.mkdir(exist_ok=True)
    seed_everything(3)
    student = network()
    usual: dict[str, Any] = {"checkpoint_every_steps": 2, "validate_every_steps": 4, "max_loss_growth": 1e6}
    trainer = conf(
        images=72,
        batch_size=4,
        accumulate=2,
        ema_decay=0.5,
        optimizer=OptimizerSettings(lr=1e-2),
        **{**usual, **options},
    )
    faces, run = RecordIOSet(root), length(trainer, 30, seed=3)
    objective = build_objective(ObjectiveConf("mine", {"margin": TermConf(MARGIN)}), sizes_of(student, None, 6))
    data = TrainingData(faces, NewViews(Augmentation(), 3), [read_pairs(root / "lfw_small.bin")], max_damaged)
    machine = replace(CPU, workers=trainer.workers or 0)
    training = Training(RunFolder(folder), trainer, run, machine, data, sinks)
    module, recorder = fit(training, student, objective, None, None)
    return module.trained.state_dict(), recorder.last


def rows(folder: Path) -> list[tuple[int, dict]]:
    """Step and values of all rows whose values do not depend on the clock."""
    found = [json.loads(line) for line in (folder / "series.jsonl").read_text().splitlines()]
    return [(row["step"], row["values"]) for row in found if not any("images_per" in k for k in row["values"])]


@pytest.mark.parametrize("killed_at", [(2,), (5,), (4, 9)])
def test_a_stopped_run_goes_on_to_the_same_weights_and_series(root: Path, tmp_path: Path, killed_at: tuple[int, ...]):
    undisturbed, last = train(root, tmp_path / "a")
    for step in killed_at:
        with pytest.raises(Killed):
            train(root, tmp_path / "b", Killer(step))
    resumed, resumed_last = train(root, tmp_path / "b")
    assert resumed_last["loss"] == last["loss"]
    assert all(torch.equal(resumed[k], v) for k, v in undisturbed.items())
    assert rows(tmp_path / "a") == rows(tmp_path / "b")
    losses = [step for step, values in rows(tmp_path / "a") if "loss" in values]
    assert losses == [step for step in range(1, 10) for _ in range(2)]
    verified = [step for step, values in rows(tmp_path / "a") if any("verification" in k for k in values)]
    assert verified == [4, 8, 9]


class Forgetful(TinyNetwork):
    """Forgets half of its map in every step, by random numbers of torch's own."""

    def forward_maps(self, x: torch.Tensor) -> Output:
        found = super().forward_maps(x)
        return Output(torch.nn.functional.dropout(found.embedding, 0.5, self.training), found.maps)


def test_a_stopped_run_goes_on_with_the_random_numbers_that_it_had_come_to(root: Path, tmp_path: Path):
    undisturbed, _ = train(root, tmp_path / "a", network=Forgetful)
    with pytest.raises(Killed):
        train(root, tmp_path / "b", Killer(5), network=Forgetful)
    resumed, _ = train(root, tmp_path / "b", network=Forgetful)
    assert all(torch.equal(resumed[k], v) for k, v in undisturbed.items())
    assert rows(tmp_path / "a") == rows(tmp_path / "b")


def test_a_seed_sets_every_random_state():
    def draws(seed: int) -> tuple[float, float, float]:
        seed_everything(seed)
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    first = draws(5)
    assert draws(5) == first
    assert not set(draws(2**32 + 6)) & set(first)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [
        {"workers": 1},
        {"checkpoint_every_steps": 1},
        {"checkpoint_every_steps": 3},
        {"checkpoint_every_steps": 100},
        {"validate_every_steps": 1, "validate_pairs": 10},
        {"max_loss_growth": 1e9, "max_damaged": 7},
    ],
    ids=str,
)
def test_a_stopped_run_goes_on_with_other_idle_options_to_the_same_weights(
    root: Path, tmp_path: Path, changed: dict[str, Any]
):
    undisturbed, last = train(root, tmp_path / "a")
    with pytest.raises(Killed):
        train(root, tmp_path / "b", Killer(6))
    resumed, resumed_last = train(root, tmp_path / "b", **changed)
    assert resumed_last["loss"] == last["loss"]
    assert all(torch.equal(resumed[k], v) for k, v in undisturbed.items())
    steps = [step for step, values in rows(tmp_path / "b") if "loss" in values]
    assert steps == [step for step in range(1, 10) for _ in range(2)]


def test_a_run_goes_on_twice_with_other_intervals_each_time(root: Path, tmp_path: Path):
    undisturbed, _ = train(root, tmp_path / "a")
    with pytest.raises(Killed):
        train(root, tmp_path / "b", Killer(4), checkpoint_every_steps=3)
    with pytest.raises(Killed):
        train(root, tmp_path / "b", Killer(8), checkpoint_every_steps=2)
    resumed, _ = train(root, tmp_path / "b", checkpoint_every_steps=4)
    assert all(torch.equal(resumed[k], v) for k, v in undisturbed.items())


def test_a_run_that_stopped_after_its_last_step_still_knows_what_it_reported(root: Path, tmp_path: Path):
    weights, last = train(root, tmp_path)
    again, known = train(root, tmp_path)
    assert known == last
    assert all(torch.equal(again[k], v) for k, v in weights.items())


def test_a_torn_checkpoint_is_one_line(root: Path, tmp_path: Path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(UserError, match=r"last\.ckpt is .*damaged.*delete it to start from scratch") as caught:
        train(root, tmp_path)
    assert "\n" not in str(caught.value)
