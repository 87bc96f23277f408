"""The one LightningModule: where student, teacher and objective meet.

A plain margin loss, a live teacher and recursive distillation are the same module with other arguments. The teacher is
hidden from ``nn.Module``, so that it is in no optimiser and in no checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import AdamW
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from distill.errors import UserError
from distill.losses.centres import Moments
from distill.losses.objective import LossBreakdown, Objective
from distill.training.muon import Muon
from distill.training.optim import build_optimizer
from distill.training.settings import LearningRate, OptimizerSettings
from distill.types import CROP_PX, FaceNetwork, LossInputs, Output, Preprocessing

Report = Callable[[int, Mapping[str, float]], None]
"""Receives the optimiser step and named values."""


class TeacherOutputs(Protocol):
    """The module's view of a teacher: its output for a batch, with maps on request."""

    def output(self, batch: Mapping[str, Any], maps: bool) -> Output: ...


class OutputNetwork(Protocol):
    """A network that takes RGB uint8 crops [b 3 h w]."""

    def output(self, images: Tensor, maps: bool) -> Output: ...


class LiveTeacher:
    """Computes the teacher's output for the images of every batch."""

    def __init__(self, network: OutputNetwork) -> None:
        self._network = network

    def output(self, batch: Mapping[str, Any], maps: bool) -> Output:
        return self._network.output(batch["images"], maps)


class StoredTeacher:
    """Uses the stored outputs that the loader adds to a batch: float16, all maps with one channel."""

    def output(self, batch: Mapping[str, Any], maps: bool) -> Output:
        stored = {name: values.float() for name, values in batch["stored"].items()}
        embedding = stored.pop("embedding")
        return Output(embedding, stored if maps else {})


@dataclass(frozen=True)
class TrainingRecipe:
    """How a network is trained, apart from the machine: every setting that changes its weights.

    The trained network sees crops of ``small_px`` for the first ``small_fraction`` of the run, and full-size ones
    after it (progressive resizing; EfficientNetV2, arXiv 2104.00298, section 4). The teacher's are always full-size.
    """

    total_steps: int
    optimizer: OptimizerSettings
    schedule: LearningRate
    small_px: int = 80
    small_fraction: float = 0.0
    ema_decay: float = 0.0
    channels_last: bool = True
    compile: bool = False
    max_loss_growth: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.ema_decay < 1:
            raise UserError(f"trainer.ema_decay is {self.ema_decay}; expected 0 (off) or more, below 1")
        if self.small_px % 16 or not 32 <= self.small_px <= CROP_PX:
            raise UserError(f"trainer.small_px is {self.small_px}; expected a multiple of 16 from 32 to {CROP_PX}")
        if not 0 <= self.small_fraction <= 1:
            raise UserError(f"trainer.small_fraction is {self.small_fraction}; expected 0 (off) to 1")
        if not self.max_loss_growth > 1:
            raise UserError(f"trainer.max_loss_growth is {self.max_loss_growth}; expected a number above 1")


class Distiller(pl.LightningModule):
    """Trains ``student`` with ``objective``; ``teacher`` may be None when no term needs one.

    ``on_values`` gets every step's learning rate and terms, raw and weighted. ``last_checkpoint`` names the file
    from which a failed run can resume.
    """

    def __init__(
        self,
        student: FaceNetwork,
        objective: Objective,
        recipe: TrainingRecipe,
        preprocessing: Preprocessing,
        teacher: TeacherOutputs | None = None,
        teacher_centres: Tensor | None = None,
        on_values: Report | None = None,
    ) -> None:
        super().__init__()
        if objective.needs_teacher and teacher is None:
            raise UserError("the objective has terms that need a teacher, and there is none")
        if recipe.channels_last:
            student.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.student = student
        self.objective = objective
        self.averaged = _averaged(student, recipe.ema_decay)
        self.teacher_centres: Tensor | None
        # a buffer moves to the device with the module; not persistent, because the run folder already has the centres
        self.register_buffer("teacher_centres", teacher_centres, persistent=False)
        self.recipe, self.preprocessing = recipe, preprocessing
        self.on_values: Report = on_values or (lambda step, values: None)
        self.last_checkpoint: str = "none yet"
        forward = student.forward_maps
        # A list is invisible to nn.Module: neither the teacher nor a compiled twin of the student becomes a child.
        self._hidden = [teacher, torch.compile(forward, dynamic=False) if recipe.compile else forward]
        self._guard = GrowthGuard(recipe.max_loss_growth)
        # seconds before an interruption, and the monotonic clock at the start of this process's part
        self._earlier_s, self._since_s = 0.0, time.monotonic()

    @property
    def trained(self) -> FaceNetwork:
        """The network that the run produces: the averaged weights if averaging is on."""
        if self.averaged is None:
            return self.student
        network = self.averaged.module
        assert isinstance(network, FaceNetwork)
        return network

    @property
    def trained_s(self) -> float:
        """Seconds of training so far, those before an interruption included."""
        return self._earlier_s + time.monotonic() - self._since_s

    def on_train_start(self) -> None:
        self._since_s = time.monotonic()

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        # steps done as a fraction of the run, in [0, 1)
        total = self.objective(self._step(batch), self.global_step / self.recipe.total_steps)
        self._check(total)
        self._report(total)
        return total.loss

    def _step(self, batch: Mapping[str, Any]) -> LossInputs:
        teacher, forward = self._hidden
        pixels = self.preprocessing(batch["images"])  # (b, 3, 112, 112) float32
        if self.global_step < self.recipe.small_fraction * self.recipe.total_steps:
            side = (self.recipe.small_px, self.recipe.small_px)
            # bilinear without antialiasing has only 2 taps each way, fewer than a reduction needs
            pixels = F.interpolate(pixels, side, mode="bilinear", align_corners=False, antialias=True)
        if self.recipe.channels_last:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        student = forward(pixels)
        frozen = None
        if self.objective.needs_teacher:
            # the batch as loaded: full-size crops also while the student's are small
            frozen = teacher.output(batch, maps=bool(self.objective.teacher_maps))
        return LossInputs(batch["labels"], student, self.objective.centres, frozen, self.teacher_centres)

    def _check(self, total: LossBreakdown) -> None:
        # waits for the device, in every step: a NaN must not reach the weights
        bad = total.nonfinite()
        if bad is not None:
            raise UserError(self._diverged(bad, "is not finite"))
        grown = self._guard.grown({name: float(value.detach()) for name, value in total.raw.items()})
        if grown is not None:
            name, value = grown
            raise UserError(
                self._diverged(name, f"has grown to {value:.4g}, {self.recipe.max_loss_growth:g} times its start")
            )

    def _diverged(self, term: str, what: str) -> str:
        return (
            f"training stopped at step {self.global_step}: the loss term {term!r} {what}; the last good checkpoint is "
            f"{self.last_checkpoint}. Try a lower trainer.optimizer.lr or a longer warm-up"
        )

    def _report(self, total: LossBreakdown) -> None:
        values = {"loss": float(total.loss.detach()), "lr": float(self.optimizers().param_groups[0]["lr"])}  # pyright: ignore
        values |= {f"raw/{name}": float(value.detach()) for name, value in total.raw.items()}
        values |= {f"weighted/{name}": float(value.detach()) for name, value in total.weighted.items()}
        self.on_values(self.global_step + 1, values)  # the step that these values lead to

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Average after each optimiser step; with accumulation this comes once for several batches."""
        super().optimizer_step(*args, **kwargs)
        if self.averaged is not None:
            self.averaged.update_parameters(self.student)

    def configure_optimizers(self) -> Any:
        optimizer = build_optimizer(self, self.recipe.optimizer, self.student)
        if self.objective.moments is not None and isinstance(optimizer, AdamW | Muon):
            # a state that is not empty is not initialised again at the first step
            optimizer.state[self.objective.centres] = self.objective.moments.as_state(self.objective.centres)
        total = self.recipe.total_steps
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.recipe.schedule.factor(step, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def centre_moments(self) -> Moments | None:
        """The optimiser's second moments of the class centres; None where it has none (SGD, no learned centres)."""
        state = self.trainer.optimizers[0].state.get(self.objective.centres, {})
        if "exp_avg_sq" not in state:
            return None
        return Moments(state["exp_avg_sq"].detach().cpu(), int(state["step"]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # of the CPU generator, from which the loader takes its seeds
        checkpoint["torch_rng"] = torch.get_rng_state()
        checkpoint["loss_start"] = dict(self._guard.start)
        checkpoint["trained_s"] = self.trained_s

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        torch.set_rng_state(checkpoint["torch_rng"].cpu())
        self._guard.start = dict(checkpoint["loss_start"])
        self._earlier_s = float(checkpoint["trained_s"])


class GrowthGuard:
    """Detects divergence: a raw term that stays ``max_growth`` times above its first value.

    Raw values, because a weighted term grows by its own warm-up. Smoothed over about ten steps, because one outlier
    batch is no divergence; one unit of slack, because a term may start near 0.
    """

    def __init__(self, max_growth: float) -> None:
        self.max_growth = max_growth
        self.start: dict[str, float] = {}
        self._smooth: dict[str, float] = {}

    def grown(self, raw: Mapping[str, float]) -> tuple[str, float] | None:
        """The first term that has diverged and its smoothed value, or None."""
        for name, value in raw.items():
            start = self.start.setdefault(name, value)
            # exponential mean over about 10 steps
            smooth = self._smooth[name] = 0.9 * self._smooth.get(name, start) + 0.1 * value
            if smooth > self.max_growth * abs(start) + 1.0:
                return name, smooth
        return None


def _averaged(student: FaceNetwork, decay: float) -> AveragedModel | None:
    """A running average of the weights and of the batch-norm statistics, or none."""
    if decay == 0:
        return None
    # use_buffers: batch-norm statistics are averaged with the weights that they belong to
    averaged = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    return averaged.requires_grad_(False)
