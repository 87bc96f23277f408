"""Many files as one digest: every byte and the order count, names and places do not; the unchanged is not reread."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from distill.files import contents
from distill.files.contents import RowContents, contents_sha256


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.bin" for number in range(5)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number] * 40))
    return paths


@pytest.fixture
def remembering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Small and new files are worth remembering; the files that were read since."""
    read: list[Path] = []

    def reads(path: Path) -> bytes:
        read.append(path)
        return path.read_bytes()

    monkeypatch.setattr(contents, "WORTH_BYTES", 1)
    monkeypatch.setattr(contents, "SETTLED_S", -60.0)
    monkeypatch.setattr(contents, "_content", reads)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return read


def digest(files: list[Path]) -> str:
    return contents_sha256(lambda: files, "files")


def test_every_file_and_the_order_count(files: list[Path]):
    known = {digest(files), digest(files[::-1]), digest(files[1:])}
    for path in files:
        size, times = path.stat().st_size, (path.stat().st_atime_ns, path.stat().st_mtime_ns)
        path.write_bytes(os.urandom(size))
        os.utime(path, ns=times)
        known.add(digest(files))
    assert len(known) == 3 + len(files)


def test_names_do_not_count(files: list[Path]):
    before = digest(files)
    assert digest([path.rename(path.with_suffix(".other")) for path in files]) == before


def test_borders_between_files_count(tmp_path: Path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"ab")
    two.write_bytes(b"c")
    before = digest([one, two])
    one.write_bytes(b"a")
    two.write_bytes(b"bc")
    assert digest([one, two]) != before


def test_a_file_that_cannot_be_read_counts_as_such(files: list[Path]):
    before = digest(files)
    files[2].unlink()
    assert digest(files) != before
    assert digest(files) == digest(files)


def test_more_files_than_are_read_at_once(files: list[Path], monkeypatch: pytest.MonkeyPatch):
    before = digest(files)
    monkeypatch.setattr(contents, "_AT_ONCE", 2)
    assert digest(files) == before


def test_what_is_unchanged_is_not_read_again(files: list[Path], remembering: list[Path]):
    before = digest(files)
    assert remembering == files
    remembering.clear()
    assert digest(files) == before
    assert remembering == []


def test_a_change_that_keeps_size_and_time_is_noticed(files: list[Path], remembering: list[Path]):
    before, stat = digest(files), files[3].stat()
    time.sleep(0.02)  # a tick of the clock that change times come from
    files[3].write_bytes(b"x" * stat.st_size)
    os.utime(files[3], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert digest(files) != before


def test_what_has_just_changed_is_not_remembered(
    files: list[Path], remembering: list[Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(contents, "SETTLED_S", 10.0)
    assert digest(files) == digest(files)
    assert remembering == [*files, *files]


@pytest.mark.parametrize("left", ["", "not a digest", "\udcff"])
def test_a_damaged_memory_is_made_again(left: str, files: list[Path], remembering: list[Path], tmp_path: Path):
    before = digest(files)
    (kept,) = (tmp_path / "cache/face-distill/contents").iterdir()
    kept.write_bytes(os.fsencode(left))
    assert digest(files) == before
    assert kept.read_text() == before


def test_without_a_place_to_remember_it_is_read_again(
    files: list[Path], remembering: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert digest(files) == digest(files)
    assert remembering == [*files, *files]


def test_the_digest_of_the_first_rows_is_that_of_their_files(files: list[Path]):
    def rows() -> RowContents:
        return RowContents(3, lambda row: files[row : row + 2], "rows")

    made_of = [files[0], files[1], files[1], files[2], files[2], files[3]]
    growing, whole = rows(), rows().sha256(3)
    assert growing.sha256(0) == digest([])
    assert growing.sha256(1) == growing.sha256(1) == digest(made_of[:2])
    assert growing.sha256(3) == whole == digest(made_of)
    files[3].write_bytes(b"later")
    assert rows().sha256(2) == digest(made_of[:4])
    assert rows().sha256(3) != whole
