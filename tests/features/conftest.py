"""Networks that look at faces."""

from __future__ import annotations

from pathlib import Path

import pytest

from reference.pictured_faces import TINY
from teachers.onnx_network import OnnxNetwork


@pytest.fixture
def network(tmp_path: Path) -> OnnxNetwork:
    return OnnxNetwork(TINY.write(tmp_path / "tiny.onnx"))
