"""Folders and links that are there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from distill.files.durable import copy_synced, placed, point, write_synced
from reference.disk_steps import DiskSteps, Step


def test_a_folder_is_placed_with_what_was_written(tmp_path: Path):
    with placed(tmp_path / "v1") as folder:
        (folder / "file").write_text("whole")
        assert not (tmp_path / "v1").exists()
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["v1", "v1/file"]


def test_what_is_placed_is_on_the_disk_before_its_name_and_the_name_when_it_is_told_of(tmp_path: Path, monkeypatch):
    (tmp_path / "source").write_bytes(b"copied")
    steps = DiskSteps(monkeypatch)
    with placed(tmp_path / "v1") as folder:
        write_synced(folder / "written", b"short")
        copy_synced(tmp_path / "source", folder / "copied")
    (at,) = (k for k, step in enumerate(steps.all) if step.kind == "rename")
    for name, contents in (("written", b"short"), ("copied", b"copied")):
        assert steps.all.index(Step("sync", folder / name, contents)) < steps.all.index(Step("sync", folder)) < at
    steps.require_name(tmp_path / "v1", after=at)


def test_a_link_that_moved_stays_moved(tmp_path: Path, monkeypatch):
    steps = DiskSteps(monkeypatch)
    point(tmp_path / "link", "one")
    assert [(step.kind, step.path) for step in steps.all] == [("rename", tmp_path / "link"), ("sync", tmp_path)]


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


def test_a_copy_is_whole_whatever_its_size_and_its_hash_is_that_of_what_was_written(tmp_path: Path):
    for size in (0, 1, (1 << 20) - 1, 1 << 20, (2 << 20) + 5):
        data = bytes(range(256)) * (size // 256) + bytes(size % 256)
        (tmp_path / "source").write_bytes(data)
        assert copy_synced(tmp_path / "source", tmp_path / f"{size}") == hashlib.sha256(data).hexdigest()
        assert (tmp_path / f"{size}").read_bytes() == data


def test_nothing_is_written_over_a_file_that_is_there(tmp_path: Path):
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "file").write_bytes(b"old")
    for write in (lambda path: write_synced(path, b"new"), lambda path: copy_synced(tmp_path / "source", path)):
        with pytest.raises(FileExistsError):
            write(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"


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
