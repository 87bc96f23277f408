"""Progress of the run: a bar on a terminal, a plain line every 30 s in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from distill.format import duration
from distill.training.throughput import Throughput

_TERM = "weighted/"
_VERIFICATION = "verification/"


class ProgressDisplay(pl.Callback):
    """Shows steps, images/s, time left, the losses and the last verification.

    ``throughput`` is kept up to date by a ``ThroughputMeter`` that stands before this callback in the trainer's list,
    ``values`` is the ``last`` of the ``Recorder`` that the module reports to. (It is no sink of its own, because
    Lightning overwrites the attribute ``log`` of every callback.)
    """

    def __init__(
        self,
        total_steps: int,
        throughput: Throughput,
        values: Mapping[str, float],
        every_s: float = 30.0,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total_steps, self.throughput, self.values, self.every_s = total_steps, throughput, values, every_s
        self.console = console or Console(highlight=False)
        self._clock = clock
        self._shown_at = clock()
        self._shown_step = -1
        self._bar: _Bar | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        step = trainer.global_step
        self._line(f"{'resumes at' if step else 'starts at'} step {step:,} of {self.total_steps:,}")
        self._shown_at = self._clock()
        if self.console.is_terminal:
            self._bar = _Bar(self.console, self.total_steps)
            self._bar.show(step, self._speed(step), "")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_global_zero:
            return
        step = trainer.global_step
        if self._bar is not None:
            self._bar.show(step, self._speed(step), describe(self.values))
        # logs: by time, not by steps, so that slow and fast runs are equally readable
        elif self._clock() >= self._shown_at + self.every_s:
            self._shown_at = self._clock()
            self._print_step(step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # the last step always gets its line, unless it was just printed
        if trainer.is_global_zero and trainer.global_step != self._shown_step:
            self._stop()
            self._print_step(trainer.global_step)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _print_step(self, step: int) -> None:
        self._shown_step = step
        share = step / self.total_steps
        parts = [f"step {step:,}/{self.total_steps:,} ({share:.0%})", self._speed(step), describe(self.values)]
        self._line("  ".join(part for part in parts if part))

    def _speed(self, step: int) -> str:
        left = self.throughput.seconds_left(step, self.total_steps)
        if left is None:
            return ""
        return f"{self.throughput.images_per_s:,.0f} images/s  {duration(left)} left"

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class _Bar:
    """A bar with a line of losses below it, redrawn four times a second."""

    def __init__(self, console: Console, total_steps: int) -> None:
        figures = TextColumn("{task.completed:,}/{task.total:,}  {task.fields[speed]}")
        self._progress = Progress(TaskProgressColumn(), BarColumn(None), figures, console=console)
        self._task = self._progress.add_task("", total=total_steps, speed="")
        self._below = Text("", overflow="ellipsis", no_wrap=True)
        self._live = Live(Group(self._progress, self._below), console=console, transient=True, refresh_per_second=4)
        self._live.start()

    def show(self, step: int, speed: str, below: str) -> None:
        self._progress.update(self._task, completed=step, speed=speed)
        self._below.plain = below

    def stop(self) -> None:
        self._live.stop()


def describe(values: Mapping[str, float]) -> str:
    """The loss, its weighted terms and the verification accuracies in a few words."""
    terms = [f"{name.removeprefix(_TERM)} {value:.4g}" for name, value in values.items() if name.startswith(_TERM)]
    words = [f"loss {values['loss']:.4g}"] if "loss" in values else []
    # a single term is the loss itself
    if len(terms) > 1:
        words.append(f"({', '.join(terms)})")
    for name, value in values.items():
        if name.startswith(_VERIFICATION) and name.endswith("accuracy"):
            words.append(f" {name.removeprefix(_VERIFICATION).replace('/', ' ')} {value:.2%}")
    return " ".join(words)
