"""What tests of cached results may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.jobs import signals
from distill.runs import signal_lookup
from reference.changed_inputs import write_place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a network, a folder set, verification pairs, a list and a place for signals."""
    write_place(tmp_path)
    monkeypatch.setattr(signal_lookup, "ROOT", tmp_path / "signals")
    monkeypatch.setattr(signals, "ROOT", tmp_path / "signals")
    return tmp_path
