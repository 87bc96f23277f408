"""A registry that serves, and an environment for programs beside the tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from registry.service import serve

PROGRAMS = Path(__file__).parent


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The registry of a service, to be copied."""
    root = tmp_path_factory.mktemp("service") / "registry"
    serve(root)
    return root


@pytest.fixture
def root(served: Path, tmp_path: Path) -> Path:
    """The registry of a service, to be worked with."""
    return Path(shutil.copytree(served, tmp_path / "registry", symlinks=True))


@pytest.fixture(scope="session")
def environment(repository: Path) -> dict[str, str]:
    """For a Python process that imports this checkout and the tests' own modules."""
    return {**os.environ, "PYTHONPATH": f"{repository}:{repository / 'tests'}"}
