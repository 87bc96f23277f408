"""A feature file that is written in several lives is the one that is written in one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from distill.errors import UserError
from distill.features.feature_file import open_features
from distill.features.writer import FeatureWriter, journal_path
from reference.disk_steps import DiskSteps, Step

ROWS = np.random.default_rng(3).standard_normal((10, 4)).astype(np.float32)
MADE_OF = {"model_sha256": "a", "batch_size": 2}
BLOCK = 3


def write(out: Path, until: int = 10, fresh: bool = False, **changed: object) -> int:
    """Write up to a row as one process does; how many rows it found."""
    with FeatureWriter(out, ROWS.shape, {**MADE_OF, **changed}, fresh) as writer:
        found = writer.done
        for first in range(found, until, BLOCK):
            writer.append(ROWS[first : min(first + BLOCK, until)])
        if until == len(ROWS):
            writer.finish()
    return found


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "new" / "a.bin"


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    path = tmp_path / "whole.bin"
    assert write(path) == 0
    np.testing.assert_array_equal(open_features(path), ROWS)
    return path.read_bytes()


def names(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir())


def test_two_lives_end_with_the_same_bytes(out: Path, whole: bytes):
    write(out, until=6)
    assert names(out) == ["a.bin.json", "a.bin.partial"]
    assert write(out) == 6
    assert names(out) == ["a.bin", "a.bin.json"]
    assert out.read_bytes() == whole
    assert write(out) == 10, "and a third life finds all of them"
    assert names(out) == ["a.bin", "a.bin.json"]


def test_rows_are_on_the_disk_before_the_journal_says_that_they_are_certain(out: Path, monkeypatch):
    steps, partial = DiskSteps(monkeypatch), out.with_name("a.bin.partial")
    with FeatureWriter(out, ROWS.shape, MADE_OF) as writer:
        for first in (0, 3):
            steps.all.clear()
            writer.append(ROWS[first : first + 3])
            at = steps.require_contents_before_name(journal_path(out))
            assert json.loads(journal_path(out).read_text())["rows_written"] == first + 3
            assert Step("sync", partial, partial.read_bytes()) in steps.all[:at]


@pytest.mark.parametrize("torn", [b"", b"\x01", b"\xff" * 40])
def test_what_was_half_written_is_cut_off(out: Path, whole: bytes, torn: bytes):
    write(out, until=3)
    with out.with_name("a.bin.partial").open("ab") as file:
        file.write(torn)
    assert write(out) == 3
    assert out.read_bytes() == whole


def test_a_death_between_the_last_row_and_the_name(out: Path, whole: bytes):
    with FeatureWriter(out, ROWS.shape, MADE_OF) as writer:
        writer.append(ROWS)
    assert names(out) == ["a.bin.json", "a.bin.partial"]
    assert write(out) == 10
    assert out.read_bytes() == whole


@pytest.mark.parametrize("left", [b"", b"\x00" * 16])
def test_a_death_before_the_first_row(out: Path, whole: bytes, left: bytes):
    out.parent.mkdir()
    out.with_name("a.bin.partial").write_bytes(left)
    assert write(out) == 0
    assert out.read_bytes() == whole


@pytest.mark.parametrize("until", [6, 10])
def test_features_of_something_else_are_not_continued(out: Path, until: int):
    write(out, until)
    before = {path: path.read_bytes() for path in out.parent.iterdir()}
    with pytest.raises(UserError, match="has features with model_sha256 a, and this command b; expected the same"):
        write(out, model_sha256="b")
    assert {path: path.read_bytes() for path in out.parent.iterdir()} == before
    with (
        pytest.raises(UserError, match="has features with rows 10, and this command 11"),
        FeatureWriter(out, (11, 4), MADE_OF),
    ):
        pass
    assert write(out, fresh=True, model_sha256="b") == 0
    assert json.loads(journal_path(out).read_text())["model_sha256"] == "b"


@pytest.mark.parametrize("journal", [None, "", "[]", '{"rows_written": "six"}', "{}"])
def test_features_of_unknown_make_are_not_touched(out: Path, journal: str | None):
    write(out, until=6)
    journal_path(out).unlink() if journal is None else journal_path(out).write_text(journal)
    with pytest.raises(UserError, match=r"partial exists, and .*json does not say what it is made of; expected"):
        write(out)
    assert write(out, fresh=True) == 0


def test_a_file_of_somebody_else_is_not_overwritten(out: Path):
    out.parent.mkdir()
    out.write_bytes(b"precious")
    with pytest.raises(UserError, match="does not say what it is made of"):
        write(out)
    assert out.read_bytes() == b"precious"
    assert names(out) == ["a.bin"]


def test_an_earlier_file_stays_until_the_new_one_is_whole(out: Path, whole: bytes):
    write(out, model_sha256="earlier")
    with FeatureWriter(out, ROWS.shape, MADE_OF, fresh=True) as writer:
        writer.append(ROWS[:6])
    assert out.read_bytes() == whole
    assert write(out) == 6
    assert names(out) == ["a.bin", "a.bin.json"]


def test_a_partial_file_that_lost_rows_is_refused(out: Path):
    write(out, until=6)
    partial = out.with_name("a.bin.partial")
    partial.write_bytes(partial.read_bytes()[:40])
    with pytest.raises(UserError, match="does not say what it is made of"):
        write(out)


def test_one_writer_at_a_time(out: Path, whole: bytes):
    with FeatureWriter(out, ROWS.shape, MADE_OF) as writer:
        with pytest.raises(UserError, match=r"a\.bin\.partial is being written by another process"):
            write(out)
        writer.append(ROWS)
        writer.finish()
    assert out.read_bytes() == whole


def test_a_folder_and_a_disk_too_small_are_told_before_the_first_row(out: Path):
    out.mkdir(parents=True)
    with pytest.raises(UserError, match="is a folder; expected the name of a feature file"):
        write(out)
    petabytes = FeatureWriter(out / "b.bin", (2**31 - 1, 2**20), MADE_OF)
    with (
        pytest.raises(UserError, match=r"b\.bin needs 9,007,199,\d{3},\d{3},\d{3} bytes, and [\d,]+ are free"),
        petabytes,
    ):
        pass
    assert not list(out.iterdir())
