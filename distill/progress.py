"""A bar for work outside of training: embedding a set, passing a teacher over the data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from distill.format import duration

EVERY_S = 30.0


class _Rate(ProgressColumn):
    """Units per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text("" if not task.speed else f"{task.speed:,.0f} {self._unit}/s")


class _Lines:
    """A line of progress now and then."""

    def __init__(self, what: str, total: int, unit: str, console: Console) -> None:
        self._what, self._total, self._unit, self._console = what, total, unit, console
        self._done, self._begun_s = 0, time.monotonic()
        self._told_s = self._begun_s

    def advance(self, amount: int) -> None:
        self._done += amount
        now_s = time.monotonic()
        if now_s < self._told_s + EVERY_S:
            return
        self._told_s = now_s
        rate = self._done / (now_s - self._begun_s)
        left = duration((self._total - self._done) / rate) if rate else "unknown"
        text = f"{self._what}: {self._done:,} of {self._total:,} {self._unit}  {rate:,.1f}/s  {left} left"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def waiting(what: str, total: int, unit: str, console: Console | None = None) -> Iterator[Callable[[int], None]]:
    """Show a bar with rate and time left; yields a function to call with each finished amount.

    Without a terminal it prints a line at the start and one every half minute.
    """
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.print(f"{what}: {total:,} {unit}", markup=False, highlight=False, soft_wrap=True)
        yield _Lines(what, total, unit, console).advance
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(unit), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda amount: bar.advance(task, amount)
