"""Where verification pairs come from: one file, a folder of them, or the data's root."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from distill.config.compose import load
from distill.errors import UserError
from distill.runs.assemble import verification_pairs


@pytest.fixture
def sets(root: Path, tmp_path: Path) -> Path:
    for name in ("b.bin", "lfw_x.bin", "a.bin"):
        shutil.copy(root / "lfw_small.bin", tmp_path / name)
    return tmp_path


def names(root: Path, *options: str) -> list[str]:
    return [pairs.name for pairs in verification_pairs(load("distill", [f"data.root={root}", *options]).data)]


def test_a_file_a_folder_or_the_root(root: Path, sets: Path):
    assert names(root) == ["lfw_small"]
    assert names(root, f"data.pairs={sets / 'b.bin'}") == ["b"]
    assert names(root, f"data.pairs={sets}") == ["lfw_x", "a", "b"]
    assert names(root, "data.pairs=lfw_small.bin") == ["lfw_small"]


def test_none_is_one_line_that_names_the_folder(root: Path, tmp_path: Path):
    with pytest.raises(UserError, match=rf"no verification pairs: {tmp_path} holds no \*\.bin"):
        names(root, f"data.pairs={tmp_path}")
