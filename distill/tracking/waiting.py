"""A bar for work outside of training: embedding a set, passing a teacher over the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    """Units per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text("" if not task.speed else f"{task.speed:,.0f} {self._unit}/s")


@contextmanager
def waiting(what: str, total: int, unit: str, console: Console | None = None) -> Iterator[Callable[[int], None]]:
    """Show a bar with rate and time left; yields a function to call with each finished amount.

    Where nobody looks at a terminal it prints one line at the start and nothing more.
    """
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.print(f"{what}: {total:,} {unit}", markup=False, highlight=False)
        yield lambda amount: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(unit), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda amount: bar.advance(task, amount)
