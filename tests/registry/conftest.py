"""A registry that serves, and an environment for programs beside the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from registry.service import serve

PROGRAMS = Path(__file__).parent


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The registry of a service."""
    serve(tmp_path / "registry")
    return tmp_path / "registry"


@pytest.fixture(scope="session")
def environment(repository: Path) -> dict[str, str]:
    """For a Python process that imports this checkout and the tests' own modules."""
    return {**os.environ, "PYTHONPATH": f"{repository}:{repository / 'tests'}"}
