"""Fixtures: a registry that serves, and an environment for programs beside the tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reference.served_registry import serve


@pytest.fixture(scope="session")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory, where ``fsync`` takes no time; on a disk where there is none."""
    shared = Path("/dev/shm")
    where = shared if os.access(shared, os.W_OK) else tmp_path_factory.getbasetemp()
    with tempfile.TemporaryDirectory(dir=where) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def served(memory: Path) -> Path:
    """The registry of a service, to be copied."""
    root = memory / "served" / "registry"
    serve(root)
    return root


@pytest.fixture
def place(memory: Path) -> Path:
    """An empty folder of the test's own."""
    return Path(tempfile.mkdtemp(dir=memory))


@pytest.fixture
def root(served: Path, place: Path) -> Path:
    """The registry of a service, to be worked with."""
    return Path(shutil.copytree(served, place / "registry", symlinks=True))


@pytest.fixture(scope="session")
def environment(repository: Path) -> dict[str, str]:
    """For a Python process that imports this checkout and the tests' own modules."""
    return {**os.environ, "PYTHONPATH": f"{repository}:{repository / 'tests'}"}
