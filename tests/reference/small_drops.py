"""Small drops of computed pictures; no real person's face is in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reference.recordio import payload, write_set

Put = Callable[..., Path]


@pytest.fixture
def drops(tmp_path: Path) -> Path:
    (tmp_path / "drops").mkdir()
    return tmp_path / "drops"


@pytest.fixture
def put(drops: Path) -> Put:
    """Writes files (path: bytes) into a drop and gives its folder."""

    def write(drop: str, files: dict[str, bytes]) -> Path:
        for name, content in files.items():
            path = drops / drop / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return drops / drop

    return write


@pytest.fixture
def put_records(drops: Path) -> Put:
    """Writes a drop as RecordIO: images with their classes, keys from 5 in falling order."""

    def write(drop: str, images: list[tuple[bytes, int]]) -> Path:
        keys = range(5 + len(images), 5, -1)
        records = {key: payload(image, float(label)) for key, (image, label) in zip(keys, images, strict=True)}
        return write_set(drops / drop, records, classes=1 + max(label for _, label in images))

    return write
