"""The history of nights on disk, complete or not; every case is made of real record files."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.nightly.history import in_service, summaries
from distill.nightly.records import FAILED, FOLDER, note_failure, record_path, write_record
from distill.nightly.service_folder import Night
from nightly.example_nights import FAILED as FAILED_NIGHT
from nightly.example_nights import REJECTED, TORN, record, write_service


def test_a_service_is_told_night_by_night(tmp_path: Path) -> None:
    found = summaries(write_service(tmp_path))
    states = {night.night.number: night.state for night in found}
    assert list(states) == list(range(1, 15))
    assert (states[1], states[REJECTED], states[FAILED_NIGHT], states[14]) == (
        "promoted",
        "rejected",
        "failed",
        "unfinished",
    )
    notes = {night.night.number: night.note for night in found}
    assert notes[1] == ""
    assert notes[FAILED_NIGHT].startswith("train: the loss grew")
    assert (notes[TORN], notes[14]) == ("damaged: vet", "done up to train")
    assert [night.report is not None for night in found] == [n not in (FAILED_NIGHT, 14) for n in states]


def test_a_torn_record_does_not_hide_the_others(tmp_path: Path) -> None:
    night = Night(tmp_path, 3)
    for stage in ("freeze", "signals", "vet"):
        write_record(night.folder, record(stage, {"n": 1}))
    path = record_path(night.folder, "signals")
    path.write_bytes(path.read_bytes().replace(b'"n": 1', b'"n": 2'))
    (found,) = summaries(tmp_path)
    assert (list(found.records), list(found.damaged)) == (["freeze", "vet"], ["signals"])
    assert found.note == "done up to vet; damaged: signals"


@pytest.mark.parametrize("note", ["", "{", "[1]", '{"stage": "train"}'])
def test_a_torn_note_of_a_failure_is_a_failure(tmp_path: Path, note: str) -> None:
    night = Night(tmp_path, 1)
    note_failure(night.folder, "train", "x", mistake=False)
    (night.folder / FOLDER / FAILED).write_text(note)
    (found,) = summaries(tmp_path)
    assert (found.state, found.note) == ("failed", "failed.json is damaged")


def test_a_folder_without_nights(tmp_path: Path) -> None:
    assert summaries(tmp_path) == []
    assert summaries(tmp_path / "absent") == []
    (tmp_path / "nights" / "0001").mkdir(parents=True)
    (tmp_path / "nights" / "notes").mkdir()
    (found,) = summaries(tmp_path)
    assert (found.state, found.note, found.started_at) == ("unfinished", "nothing is done yet", "")


def test_reading_changes_nothing(tmp_path: Path) -> None:
    write_service(tmp_path, 3)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    summaries(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_what_is_in_service_is_where_the_link_leads(tmp_path: Path) -> None:
    assert in_service(tmp_path) is None
    folder = tmp_path / "registry" / "versions" / "v0003"
    folder.mkdir(parents=True)
    (tmp_path / "registry" / "champion").symlink_to("versions/v0003")
    assert in_service(tmp_path) == "v0003"
    folder.rmdir()
    assert in_service(tmp_path) is None
