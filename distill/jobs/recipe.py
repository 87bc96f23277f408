"""From the trainer's and the objective's configuration to what decides which weights come out."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch

from distill.data.batches import Plan
from distill.jobs.build import build
from distill.jobs.schema import ObjectiveConf, TrainerConf
from distill.losses.objective import Objective, Term
from distill.losses.schedule import Schedule
from distill.machine import Machine, resolve
from distill.module import Recipe
from distill.optimise import LearningRate, OptimizerSettings
from distill.types import FaceNetwork, Preprocessing, Sizes, UserError

STUDENT_INPUT = Preprocessing()
"""All networks that are trained here take RGB (x - 127.5) / 128."""

LEAST = {
    "batch_size": 1,
    "accumulate": 1,
    "checkpoint_every_steps": 1,
    "validate_every_steps": 1,
    "validate_pairs": 10,  # a pair for each of the ten folds
}


class Widths(Protocol):
    """What loss terms are built for of a teacher, live or stored."""

    @property
    def embedding_dim(self) -> int: ...

    @property
    def map_channels(self) -> dict[str, int]: ...


@dataclass(frozen=True)
class Length:
    """A run's extent: batches are forward passes, steps are updates of the weights."""

    steps: int
    steps_per_interval: int
    accumulate: int
    batch_size: int
    seed: int
    steps_done: int = 0
    intervals_done: int = 0

    @property
    def images(self) -> int:
        return self.steps * self.accumulate * self.batch_size

    @property
    def intervals(self) -> int:
        """Those behind and those ahead, which may be of another length."""
        return self.intervals_done + math.ceil((self.steps - self.steps_done) / self.steps_per_interval)

    def after(self, steps: int, intervals: int) -> Length:
        """The same run when it goes on after so many steps and intervals."""
        return replace(self, steps_done=steps, intervals_done=intervals)

    def plan(self) -> Plan:
        """The same in batches, for the data."""
        return Plan(
            self.batch_size,
            self.steps * self.accumulate,
            self.steps_per_interval * self.accumulate,
            self.seed,
            self.steps_done * self.accumulate,
            self.intervals_done,
        )


def length(conf: TrainerConf, images: int, seed: int) -> Length:
    """How long a run over a set of ``images`` is; at least one step."""
    if (conf.images is None) == (conf.epochs is None):
        raise UserError(
            f"trainer.images is {conf.images} and trainer.epochs is {conf.epochs}; expected exactly one of them"
        )
    for name, least in LEAST.items():
        if getattr(conf, name) < least:
            raise UserError(f"trainer.{name} is {getattr(conf, name)}; expected at least {least}")
    total = conf.images if conf.images is not None else round((conf.epochs or 0) * images)
    steps = max(1, total // (conf.batch_size * conf.accumulate))
    return Length(steps, min(steps, conf.checkpoint_every_steps), conf.accumulate, conf.batch_size, seed)


def machine_for(conf: TrainerConf, run: Length) -> Machine:
    return resolve(conf.precision.value, conf.channels_last, conf.compile, conf.workers, run.images)


def recipe(conf: TrainerConf, run: Length, machine: Machine) -> Recipe:
    """The part of the trainer's configuration that decides which weights come out."""
    optimizer, schedule = conf.optimizer, conf.schedule
    return Recipe(
        total_steps=run.steps,
        optimizer=OptimizerSettings(
            name=optimizer.name.value,
            lr=optimizer.lr,
            weight_decay=optimizer.weight_decay,
            betas=optimizer.betas,
            momentum=optimizer.momentum,
            nesterov=optimizer.nesterov,
            head_lr_factor=optimizer.head_lr_factor,
            bf16_products=machine.precision == "bf16" if optimizer.bf16_products is None else optimizer.bf16_products,
        ),
        schedule=LearningRate(
            kind=schedule.kind.value,
            warmup_fraction=schedule.warmup_fraction,
            final_factor=schedule.final_factor,
            milestones=tuple(schedule.milestones),
            gamma=schedule.gamma,
        ),
        small_px=conf.small_px,
        small_fraction=conf.small_fraction,
        ema_decay=conf.ema_decay,
        channels_last=machine.channels_last,
        compile=machine.compile,
        max_loss_growth=conf.max_loss_growth,
    )


def build_objective(conf: ObjectiveConf, sizes: Sizes) -> Objective:
    """The objective with every term built for these widths."""
    if not conf.terms:
        raise UserError(f"objective {conf.name} has no terms; expected objective.terms.NAME.loss._target_ and a weight")
    terms = {
        name: Term(
            loss=build(term.loss, f"objective.terms.{name}.loss", sizes=sizes),
            weight=term.weight,
            schedule=Schedule(term.warmup_fraction, term.decay_from_fraction, term.final_factor),
        )
        for name, term in conf.terms.items()
        if term.weight != 0  # switched off: neither its teacher nor its maps need to exist
    }
    return Objective(terms, sizes)


def sizes_of(student: FaceNetwork, teacher: Widths | None, classes: int) -> Sizes:
    """The widths that the loss terms are built for."""
    return Sizes(
        student_dim=student.embedding_dim,
        teacher_dim=None if teacher is None else teacher.embedding_dim,
        classes=classes,
        student_maps=student.map_channels,
        teacher_maps={} if teacher is None else teacher.map_channels,
    )


def seed_everything(seed: int) -> None:
    """Every random state that weights are drawn from; the data has seeds of its own."""
    if seed < 0:
        raise UserError(f"seed is {seed}; expected 0 or more")
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
