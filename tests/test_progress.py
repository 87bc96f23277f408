"""Progress of long work: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from distill import progress
from distill.progress import EVERY_S, waiting


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, to be moved."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_at_the_start_and_one_every_half_minute(clock: list[float]):
    log = io.StringIO()
    with waiting("embedding [lfw]", 12_000, "images", Console(file=log, width=40)) as advance:
        assert log.getvalue() == "embedding [lfw]: 12,000 images\n"
        advance(1000)
        clock[0] += EVERY_S - 1
        advance(1000)
        assert log.getvalue().count("\n") == 1
        clock[0] += 11
        advance(2000)
        advance(10)
    assert log.getvalue().splitlines()[1:] == ["embedding [lfw]: 4,000 of 12,000 images  100.0/s  1:20 left"]


def test_a_terminal_gets_a_bar_that_goes_away():
    terminal = io.StringIO()
    with waiting("embedding", 10, "images", Console(file=terminal, force_terminal=True, width=100)) as advance:
        advance(10)
    assert "embedding" in terminal.getvalue()
    assert "10/10" in terminal.getvalue()
