"""Which night is the last one, and which one is to be worked on."""

from __future__ import annotations

from pathlib import Path

from distill.nightly.records import Record, record_path, write_record
from distill.nightly.service_folder import Night, last_finished, nights, unfinished


def begun(root: Path, number: int, *stages: str) -> Night:
    night = Night(root, number)
    night.folder.mkdir(parents=True)
    for stage in stages:
        write_record(night.folder, Record(stage, {}, {}, {}, "", 0.0))
    return night


def test_nothing_is_there_before_the_first_night(tmp_path: Path):
    assert nights(tmp_path) == []
    assert last_finished(tmp_path) is unfinished(tmp_path) is None


def test_a_night_is_finished_once_it_has_a_verdict(tmp_path: Path):
    first = begun(tmp_path, 1, "freeze", "promote")
    assert last_finished(tmp_path) == first
    assert unfinished(tmp_path) is None
    second = begun(tmp_path, 2, "freeze", "judge")
    assert last_finished(tmp_path) == first
    assert unfinished(tmp_path) == second == first.after()


def test_a_damaged_verdict_is_none(tmp_path: Path):
    night = begun(tmp_path, 1, "promote")
    record_path(night.folder, "promote").write_text("{")
    assert unfinished(tmp_path) == night
    assert night.record("promote") is None


def test_nights_are_ordered_by_number_and_other_folders_are_passed_over(tmp_path: Path):
    for number in (10_000, 9_999, 2):
        begun(tmp_path, number)
    for name in ("latest", ".tmp", "0003x"):
        (tmp_path / "nights" / name).mkdir()
    (tmp_path / "nights" / "0004").write_text("no folder")
    assert [night.number for night in nights(tmp_path)] == [2, 9_999, 10_000]
    assert [night.name for night in nights(tmp_path)] == ["0002", "9999", "10000"]
