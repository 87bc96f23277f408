"""Folders and links that are there whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from distill.registry.durable import copy_synced, placed, point


def test_a_folder_is_placed_with_what_was_written(tmp_path: Path):
    with placed(tmp_path / "v1") as folder:
        (folder / "file").write_text("whole")
        assert not (tmp_path / "v1").exists()
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["v1", "v1/file"]


def test_a_folder_whose_filling_fails_leaves_nothing(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), placed(tmp_path / "v1") as folder:
        (folder / "file").write_text(str(1 / 0))
    assert not list(tmp_path.iterdir())


def test_a_folder_is_never_placed_over_another(tmp_path: Path):
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1/file").write_text("earlier")
    with pytest.raises(OSError, match="not empty"), placed(tmp_path / "v1") as folder:
        (folder / "file").write_text("later")
    assert (tmp_path / "v1/file").read_text() == "earlier"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_crash_left_is_no_part_of_the_next(tmp_path: Path):
    (tmp_path / ".partial").mkdir()
    (tmp_path / ".partial/old").touch()
    with placed(tmp_path / "v1") as folder:
        (folder / "new").touch()
    assert [path.name for path in (tmp_path / "v1").iterdir()] == ["new"]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_modes_are_the_umask_s_not_those_of_the_source(tmp_path: Path, umask: int):
    source = tmp_path / "source"
    source.write_bytes(b"x")
    source.chmod(0o711)
    before = os.umask(umask)
    try:
        with placed(tmp_path / "v1") as folder:
            copy_synced(source, folder / "file")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("v1/file", "v1")]
    assert modes == [0o666 & ~umask, 0o777 & ~umask]


def test_a_link_moves_and_a_folder_in_its_place_stays(tmp_path: Path):
    point(tmp_path / "link", "one")
    point(tmp_path / "link", "two")
    assert os.readlink(tmp_path / "link") == "two"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        point(tmp_path / "folder", "three")
    assert (tmp_path / "folder").is_dir()
