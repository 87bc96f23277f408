"""Records: hashed, whole or not there, and in order whatever the clock says."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.files.hashing import sha256_of
from distill.nightly.records import (
    STAGES,
    DamagedRecord,
    Record,
    clear_failure,
    forget,
    note_failure,
    read_record,
    read_records,
    record_path,
    write_record,
)


def record(stage: str = "freeze", **changed: object) -> Record:
    plain = Record(stage, {"data": "ab"}, {}, {"images": 3}, "2026-01-01T00:00:00+00:00", 0.25)
    return replace(plain, **changed)  # pyright: ignore[reportArgumentType]


def test_a_record_is_read_back_and_its_hash_is_that_of_the_canonical_json(tmp_path: Path):
    write_record(tmp_path, record())
    assert read_record(tmp_path, "freeze") == record()
    content = json.loads((tmp_path / "records/00-freeze.json").read_text())
    said = content.pop("sha256")
    canonical = (
        '{"inputs":{"data":"ab"},"outputs":{},"result":{"images":3},"seconds":0.25,"stage":"freeze",'
        '"started_at":"2026-01-01T00:00:00+00:00"}'
    )
    assert said == hashlib.sha256(canonical.encode()).hexdigest() == sha256_of(content)


@pytest.mark.parametrize("key", ["stage", "inputs", "outputs", "result", "started_at", "seconds", "sha256"])
def test_any_change_of_a_record_is_seen(tmp_path: Path, key: str):
    write_record(tmp_path, record())
    path = record_path(tmp_path, "freeze")
    content = json.loads(path.read_text())
    content[key] = {"x": "y"} if isinstance(content[key], dict) else 7 if key == "seconds" else content[key] + "x"
    path.write_text(json.dumps(content))
    with pytest.raises(DamagedRecord):
        read_record(tmp_path, "freeze")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"stage": "freeze"}', '{"stage": 3}', "\x00"])
def test_a_torn_record_is_damaged_and_none_is_none(tmp_path: Path, text: str):
    assert read_record(tmp_path, "freeze") is None
    record_path(tmp_path, "freeze").parent.mkdir()
    record_path(tmp_path, "freeze").write_text(text)
    with pytest.raises(DamagedRecord, match=r"00-freeze\.json: is (torn|no record)"):
        read_record(tmp_path, "freeze")


def test_a_record_cut_anywhere_is_damaged(tmp_path: Path):
    write_record(tmp_path, record())
    path = record_path(tmp_path, "freeze")
    whole = path.read_bytes()
    for length in range(len(whole) - 2):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedRecord):
            read_record(tmp_path, "freeze")


def test_a_record_of_another_stage_does_not_count(tmp_path: Path):
    write_record(tmp_path, record("freeze"))
    record_path(tmp_path, "freeze").rename(record_path(tmp_path, "vet"))
    with pytest.raises(DamagedRecord, match="no record of the stage vet"):
        read_record(tmp_path, "vet")


def test_records_are_read_up_to_the_first_gap(tmp_path: Path):
    for stage in ("freeze", "signals", "train"):
        write_record(tmp_path, record(stage))
    assert list(read_records(tmp_path)) == ["freeze", "signals"]
    record_path(tmp_path, "signals").write_text("{")
    assert list(read_records(tmp_path)) == ["freeze"]


def test_files_sort_in_the_order_of_the_stages(tmp_path: Path):
    names = [record_path(tmp_path, stage).name for stage in STAGES]
    assert names == sorted(names)
    assert names[0] == "00-freeze.json"
    assert names[-1] == "10-report.json"


def test_forgetting_leaves_the_rest(tmp_path: Path):
    for stage in STAGES:
        write_record(tmp_path, record(stage))
    forget(tmp_path, STAGES[4:])
    assert list(read_records(tmp_path)) == list(STAGES[:4])
    forget(tmp_path, STAGES[4:])  # again: nothing there


def test_an_output_that_is_missing_or_changed_is_named(tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/a").write_bytes(b"abc")
    found = record(outputs={"run/a": hashlib.sha256(b"abc").hexdigest()})
    assert found.lacks(tmp_path) is None
    (tmp_path / "run/a").write_bytes(b"abd")
    assert found.lacks(tmp_path) == f"{tmp_path}/run/a is not what the stage freeze left"
    (tmp_path / "run/a").unlink()
    assert found.lacks(tmp_path) == f"{tmp_path}/run/a is missing"


def test_no_record_holds_what_is_no_number(tmp_path: Path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_record(tmp_path, record(result={"auc": float("nan")}))
    assert read_record(tmp_path, "freeze") is None


def test_a_failure_is_noted_and_cleared(tmp_path: Path):
    note_failure(tmp_path, "train", "the disk is full", mistake=True)
    noted = json.loads((tmp_path / "records/failed.json").read_text())
    assert (noted["stage"], noted["error"], noted["mistake"]) == ("train", "the disk is full", True)
    clear_failure(tmp_path)
    clear_failure(tmp_path)
    assert not (tmp_path / "records/failed.json").exists()


def test_a_record_that_cannot_be_written_is_one_line(tmp_path: Path):
    (tmp_path / "records").write_text("no folder")
    with pytest.raises(UserError, match=r"cannot write .*00-freeze\.json"):
        write_record(tmp_path, record())
