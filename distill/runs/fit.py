"""One call of Lightning in a run folder: from the last checkpoint, or the start, to the end."""

from __future__ import annotations

import logging
import pickle
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from distill.config.groups import TrainerConf
from distill.data.batches import StoredRows
from distill.data.faceset import FaceSet
from distill.data.module import FacesModule
from distill.data.pairs import Pairs
from distill.data.views import Views
from distill.errors import UserError
from distill.files.foreign import foreign
from distill.files.kinds import CHECKPOINT, CUT_CHECKPOINT, EMPTY, LIGHTNING
from distill.files.utf8_path import utf8_path
from distill.losses.objective import Objective
from distill.runs.assemble import STUDENT_INPUT, Length, recipe
from distill.runs.folder import SERIES, RunFolder
from distill.tracking.series import Recorder, SeriesFile, Sink, read_series
from distill.training.checkpoints import AtomicCheckpointIO, Checkpoints
from distill.training.machine import Machine
from distill.training.module import Distiller, TeacherOutputs
from distill.training.progress_display import ProgressDisplay
from distill.training.throughput import ThroughputMeter
from distill.training.validation import VerificationDuringTraining
from distill.types import FaceNetwork


@dataclass(frozen=True)
class TrainingData:
    """What is trained on, how it is varied, what it is scored on meanwhile, and the teacher's stored rows.

    ``shown`` are the rows [n] of ``train`` that are shown; None is all.
    """

    train: FaceSet
    views: Views
    pairs: Sequence[Pairs]
    max_damaged: int
    store: StoredRows | None = None
    shown: np.ndarray | None = None


@dataclass(frozen=True)
class Training:
    """All that one call of Lightning needs."""

    folder: RunFolder
    conf: TrainerConf
    run: Length
    machine: Machine
    data: TrainingData
    sinks: Sequence[Sink]


def fit(
    training: Training,
    student: FaceNetwork,
    objective: Objective,
    teacher: TeacherOutputs | None,
    teacher_centres: Tensor | None,
) -> tuple[Distiller, Recorder]:
    """Train from the last checkpoint, or from the start, to the end; returns the module and what it last reported."""
    checkpoint = training.folder.checkpoint
    saved = _read(checkpoint)
    training = training if saved is None else replace(training, run=training.run.after(*_behind(saved)))
    run, machine = training.run, training.machine
    meter = ThroughputMeter(run.batch_size * run.accumulate, lambda step, values: recorder(step, values))
    series = SeriesFile(training.folder.file(SERIES), None if saved is None else saved["global_step"])
    recorder = Recorder([series, *training.sinks])
    recorder.last.update({name: curve[-1][1] for name, curve in read_series(series.path).items()})
    bar = ProgressDisplay(run.steps, meter.throughput, recorder.last)
    module = Distiller(
        student,
        objective,
        recipe(training.conf, run, machine),
        STUDENT_INPUT,
        teacher,
        teacher_centres,
        recorder,
    )
    verification = VerificationDuringTraining(
        [pairs.thinned(training.conf.validate_pairs) for pairs in training.data.pairs],
        training.conf.validate_every_steps,
        recorder,
        machine.precision == "bf16",
    )
    trainer = _trainer(training, [meter, bar, verification, Checkpoints(checkpoint)])
    data = training.data
    faces = FacesModule(data.train, data.views, run.plan(), machine.workers, data.max_damaged, data.store, data.shown)
    if machine.compile:
        print("the first step compiles the network, which takes some minutes the first time", flush=True)
    try:
        if saved is not None:
            _check_fits(saved, module, checkpoint)
        with _quiet():
            trainer.fit(module, faces, ckpt_path=checkpoint if saved else None, weights_only=True)
    except RuntimeError as error:
        if not re.match(r"DataLoader worker \(pid.*\) (is killed|exited)", str(error)):
            raise
        raise UserError(
            "a process that reads faces was killed, perhaps out of memory; run the same command again to resume from "
            f"the last checkpoint, with trainer.workers=N in place of {machine.workers} if that is too many"
        ) from error
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning's exit on Ctrl-C; ours prints how to resume
            raise stop.__context__ from None
        raise
    finally:
        series.close()
    return module, recorder


def _trainer(training: Training, callbacks: list[pl.Callback]) -> pl.Trainer:
    run, machine = training.run, training.machine
    with _quiet():
        return pl.Trainer(
            accelerator=machine.device,
            devices=1,
            precision=machine.lightning_precision,
            max_epochs=run.intervals,
            accumulate_grad_batches=run.accumulate,
            gradient_clip_val=training.conf.gradient_clip,
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            default_root_dir=training.folder.path,
        )


def _read(checkpoint: Path) -> dict[str, Any] | None:
    """The last checkpoint, its tensors left on the disk; None at the start of a run."""
    if not checkpoint.exists():
        return None
    try:
        with utf8_path(checkpoint) as text:
            content = torch.load(text, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        known = foreign(checkpoint, "a complete checkpoint", LIGHTNING, CHECKPOINT, CUT_CHECKPOINT, EMPTY)
        what = "is damaged or no checkpoint" if known is None else known.removeprefix(f"{checkpoint} ")
        raise UserError(_unusable(checkpoint, what)) from error
    if not isinstance(content, dict) or not {"global_step", "state_dict", "loops"} <= content.keys():
        raise UserError(_unusable(checkpoint, "is no checkpoint of a run"))
    return content


def _behind(saved: dict[str, Any]) -> tuple[int, int]:
    """Steps and intervals that a checkpoint is the end of."""
    return saved["global_step"], saved["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]


def _check_fits(saved: dict[str, Any], module: Distiller, checkpoint: Path) -> None:
    """A run.name given twice may lead to a run of another network or objective."""
    ours, theirs = ({k: v.shape for k, v in state.items()} for state in (module.state_dict(), saved["state_dict"]))
    if ours != theirs:
        odd = min(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
        raise UserError(_unusable(checkpoint, f"is of a run with another network or objective ({odd} differs)"))


def _unusable(checkpoint: Path, what: str) -> str:
    advice = "delete it to start from scratch, or give run.name"
    return f"{checkpoint} {what}; expected the last checkpoint of this run: {advice}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advice on loggers, workers and validation loops, none of which applies here."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
        yield
