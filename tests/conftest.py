"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def faces_root() -> Path:
    """A data root of real aligned faces: FACES_ROOT, else beside the repository; tests skip without one."""
    root = Path(os.environ.get("FACES_ROOT", ROOT.parent / "shared" / "data" / "faces"))
    if not (root / "lfw_dev.bin").is_file():
        pytest.skip(f"no data root at {root}; set FACES_ROOT")
    return root
