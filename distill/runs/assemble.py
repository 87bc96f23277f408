"""From the trainer's and the objective's configuration to what decides which weights come out."""

from __future__ import annotations

import logging
import math
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from distill.config.build import build, target_class
from distill.config.groups import DataConf, ObjectiveConf, TeacherConf, TrainerConf
from distill.config.training_jobs import ReplayConf
from distill.data.augment import Augmentation
from distill.data.batches import Plan
from distill.data.damage import Damage
from distill.data.faceset import FaceSet, Joined, Listed
from distill.data.pairs import Pairs, read_pairs, sets_in
from distill.data.replay import replayed
from distill.data.synth.recipe import identity_of
from distill.errors import UserError
from distill.files.network_file import NetworkFile
from distill.losses.objective import Objective, Schedule, Term
from distill.metrics.folds import FOLDS
from distill.training.machine import Machine, has_fast_bf16, resolve
from distill.training.module import TrainingRecipe
from distill.types import FaceNetwork, LossDims, Preprocessing
from teachers.card import parse_preprocessing
from teachers.draft import Draft
from teachers.layouts.known import layout_for
from teachers.teacher import Teacher, load_teacher
from teachers.trial import try_teacher

_log = logging.getLogger(__name__)

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
        """The same run, resumed after so many steps and intervals."""
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


def recipe(conf: TrainerConf, run: Length, machine: Machine) -> TrainingRecipe:
    """The part of the trainer's configuration that decides which weights come out."""
    optimizer = conf.optimizer
    bf16 = machine.precision == "bf16" if optimizer.bf16_products is None else optimizer.bf16_products
    return TrainingRecipe(
        total_steps=run.steps,
        optimizer=replace(optimizer, bf16_products=bf16),
        schedule=conf.schedule,
        small_px=conf.small_px,
        small_fraction=conf.small_fraction,
        ema_decay=conf.ema_decay,
        channels_last=machine.channels_last,
        compile=machine.compile,
        max_loss_growth=conf.max_loss_growth,
    )


def build_objective(conf: ObjectiveConf, sizes: LossDims) -> Objective:
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


def sizes_of(student: FaceNetwork, teacher: Widths | None, classes: int) -> LossDims:
    """The widths that the loss terms are built for."""
    return LossDims(
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


def labelled_faces(conf: DataConf) -> FaceSet:
    """The set whose people are known."""
    if conf.max_damaged < 0:
        raise UserError(f"data.max_damaged is {conf.max_damaged}; expected 0 or more broken images to skip")
    return _open(conf, Path(conf.root))


def with_transfer(labelled: FaceSet, conf: DataConf) -> FaceSet:
    """The labelled set, joined with the transfer sets where there are any."""
    transfer = [_open(conf, _inside(conf, place)) for place in conf.transfer]
    return Joined(labelled, transfer) if transfer else labelled


def shown_rows(conf: ReplayConf, labelled: FaceSet, faces: FaceSet, seed: int) -> np.ndarray | None:
    """Rows int64 [k] of ``faces`` that are shown: all new ones and a share of the old. None is all of them."""
    if conf.share is None:
        return None
    if not 0 <= conf.share <= 1:
        raise UserError(f"replay.share is {conf.share}; expected 0 (no old images) to 1 (all of them)")
    if conf.old_images is None or not 0 <= conf.old_images <= len(labelled):
        raise UserError(
            f"replay.old_images is {conf.old_images} beside replay.share={conf.share}; expected how many of the set's "
            f"{len(labelled)} labelled images, from the first on, are old"
        )
    old = replayed(labelled.labels[: conf.old_images], conf.share, seed, conf.night)
    rows = np.concatenate([old, np.arange(conf.old_images, len(faces))])
    if len(rows) == 0:
        raise UserError(f"replay.share is {conf.share} and no image is new; expected one image to show at least")
    return rows


def augmentation(conf: DataConf) -> Augmentation:
    return build(conf.augment, "data.augment")


def verification_pairs(conf: DataConf) -> list[Pairs]:
    """The sets that students and teachers are scored on, the main one first.

    ``data.pairs`` names one, or a folder of them; otherwise they lie in the root. Every ``*.bin`` of a folder counts,
    sorted by name with those called lfw first. Pairs with an image that cannot be read are left out, up to
    ``data.max_damaged`` of those images.
    """
    damage = Damage(conf.max_damaged, "data.max_damaged", "these pairs")
    return [_enough(path, damage) for path in verification_files(conf)]


def verification_files(conf: DataConf) -> list[Path]:
    """The files of ``verification_pairs``."""
    if conf.pairs is not None and (named := _inside(conf, conf.pairs)).is_file():
        return [named]
    folder = Path(conf.root) if conf.pairs is None else _inside(conf, conf.pairs)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such file; expected a verification set (.bin), or a folder of them")
    found = sets_in(folder)
    if not found:
        raise UserError(
            f"no verification pairs: {folder} holds no *.bin; put lfw.bin there or name one with data.pairs=FILE.bin"
        )
    return found


def _enough(path: Path, damage: Damage) -> Pairs:
    """The set, which needs a pair for each fold of the standard protocol."""
    pairs = replace(read_pairs(path, damage), identity=identity_of(path))
    if len(pairs) < FOLDS:
        raise UserError(f"{path} has {len(pairs)} pairs; expected at least {FOLDS}, one for each fold of the protocol")
    return pairs


def _open(conf: DataConf, root: Path) -> Any:
    faces = build(conf.reader, "data.reader", root=root)
    if isinstance(faces, Listed):
        print(f"{root}: {faces.summary}")
    return faces


def _inside(conf: DataConf, place: str) -> Path:
    """A path as given where that exists, else below the root."""
    return Path(place) if Path(place).exists() else Path(conf.root) / place


def open_teacher(conf: TeacherConf, fingerprint: str, file: NetworkFile | None = None) -> Teacher | None:
    """The teacher with its weights, card and preprocessing, ready to look at images; None for ``teacher=none``.

    ``file`` is that of its weights, where the job has opened it.
    """
    require_layout(conf)
    if conf.network is None and conf.weights is None:
        return None
    weights = file if file is not None or conf.weights is None else NetworkFile(Path(conf.weights))
    network = _network(conf)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision = conf.precision.value
    chosen: Any = ("bf16" if has_fast_bf16(device) else "fp32") if precision == "auto" else precision
    return load_teacher(
        conf.name,
        network,
        weights,
        None if conf.card is None else Path(conf.card),
        _preprocessing(conf),
        chosen,
        fingerprint,
    ).to(device)


def require_layout(conf: TeacherConf) -> None:
    """UserError at once where ``teacher.layout`` is given and the teacher's network has no such weights."""
    if conf.layout is not None:
        if conf.network is None:
            raise UserError(
                f"teacher.layout is {conf.layout}, and teacher {conf.name} has no network to load weights into; "
                "expected null"
            )
        layout_for(conf.layout.value, target_class(conf.network, "teacher.network").__name__)


def _network(conf: TeacherConf) -> FaceNetwork | Draft | None:
    node = conf.network
    if node is None or conf.layout is None:
        return None if node is None else build(node, "teacher.network")
    kind = target_class(node, "teacher.network")
    return Draft(
        layout_for(conf.layout.value, kind.__name__), kind, node, lambda options: build(options, "teacher.network")
    )


def _preprocessing(conf: TeacherConf) -> Preprocessing | None:
    if conf.preprocessing is None:
        return None
    return parse_preprocessing(conf.preprocessing, "teacher.preprocessing")


def try_out(teacher: Teacher, conf: TeacherConf, pairs: Pairs) -> bool:
    """Score the teacher on a few hundred pairs and stop a run that trusts a useless one; False where that is off."""
    if not conf.check:
        _log.warning("teacher %s is not tried before the run: teacher.check=false", conf.name)
        return False
    result = try_teacher(
        teacher, pairs.images, torch.from_numpy(pairs.same), conf.name, expected_dim=teacher.card.embedding_dim
    )
    _log.info("teacher %s: AUC %.4f on %d pairs of %s", conf.name, result.auc, result.pairs, pairs.name)
    return True
