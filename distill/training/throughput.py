"""Training speed: images per second over the last 30 s, without pauses."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl

SERIES = "throughput/images_per_s"


class Throughput:
    """Rate over a sliding window; ``pause`` forgets the window, so that checkpoints and verification do not count."""

    def __init__(
        self, images_per_step: int, window_s: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.images_per_step, self.window_s = images_per_step, window_s
        self.images_per_s = 0.0
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque()

    def pause(self, step: int) -> None:
        """Training pauses at ``step``; the last rate is kept until there is a new one."""
        self._marks.clear()
        self._marks.append((self._clock(), step))

    def update(self, step: int) -> None:
        """``step`` optimiser steps are done now."""
        now = self._clock()
        self._marks.append((now, step))
        # two marks stay even if a single step takes longer than the window
        while len(self._marks) > 2 and now - self._marks[0][0] > self.window_s:
            self._marks.popleft()
        start, first = self._marks[0]
        # a coarse clock may give the same time twice
        if now > start and step > first:
            self.images_per_s = (step - first) * self.images_per_step / (now - start)

    def seconds_left(self, step: int, total_steps: int) -> float | None:
        """Time for the remaining steps at this rate, or None before there is one."""
        if self.images_per_s == 0:
            return None
        return max(0, total_steps - step) * self.images_per_step / self.images_per_s


class ThroughputMeter(pl.Callback):
    """Keeps a ``Throughput`` up to date and reports it every ``every_steps`` optimiser steps.

    ``images_per_step`` counts all devices and accumulated batches.
    """

    def __init__(
        self,
        images_per_step: int,
        on_values: Callable[[int, Mapping[str, float]], None] | None = None,
        every_steps: int = 20,
    ) -> None:
        self.throughput = Throughput(images_per_step)
        self._on_values, self._every_steps = on_values, every_steps
        self._reported = 0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Each interval starts a new window: before it came a checkpoint or a verification."""
        self._reported = trainer.global_step
        self.throughput.pause(trainer.global_step)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.throughput.pause(trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        self.throughput.update(step)
        if self._on_values is None or step < self._reported + self._every_steps or not trainer.is_global_zero:
            return
        self._reported = step
        self._on_values(step, {SERIES: self.throughput.images_per_s})
