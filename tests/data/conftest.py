"""Small sets of computed pictures; no real person's face is in them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from reference.recordio import payload, write_set

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture
def written_by_mxnet(tmp_path: Path) -> Callable[[str], Path]:
    """A copy of one fixture folder, free to be damaged."""
    return lambda name: Path(shutil.copytree(FIXTURES / name, tmp_path / name, ignore=shutil.ignore_patterns("*.json")))


@pytest.fixture
def picture() -> Callable[..., np.ndarray]:
    """A smooth RGB picture [side side 3] that differs with its number."""

    def draw(number: int, side: int = 112) -> np.ndarray:
        noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        return np.ascontiguousarray(np.kron(noise, np.ones((side // 8, side // 8, 1), np.uint8)))

    return draw


@pytest.fixture
def jpeg(picture: Callable[..., np.ndarray]) -> Callable[..., bytes]:
    return lambda number, side=112: simplejpeg.encode_jpeg(picture(number, side), 90, "RGB", "444")


@pytest.fixture
def many(tmp_path: Path, jpeg: Callable[..., bytes]) -> Path:
    """Three hundred images of a hundred people, scalar labels, keys from 0."""
    return write_set(tmp_path / "many", {key: payload(jpeg(key), key // 3) for key in range(300)}, classes=100)
