"""The history is whole after every line of it was torn at every byte."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from distill.registry.history import EventKind, RegistryEvent, append_events, event_from_json, read_events
from distill.registry.registry import Registry
from reference.disk_steps import DiskSteps, Step
from reference.served_registry import snapshot

EVENTS = [
    RegistryEvent(EventKind.add, "v0001", "2026-11-25T03:00:00+00:00"),
    RegistryEvent(
        EventKind.promote, "v0001", "2026-11-25T03:00:01+00:00", 1, None, {"night": 1, "text": "better\nby \u00e9 0.02"}
    ),
    RegistryEvent(
        EventKind.rollback, "v0002", "2026-11-24T03:00:01+00:00", 2, "v0001", {"reasons": [{"passed": False}]}
    ),
]


def test_events_come_back(tmp_path: Path):
    path = tmp_path / "history.jsonl"
    append_events(path, EVENTS[:1])
    append_events(path, [])
    append_events(path, EVENTS[1:])
    assert read_events(path) == EVENTS
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["add", "promote", "rollback"]


def test_events_and_the_name_of_their_file_are_on_the_disk_when_they_are_written(tmp_path: Path, monkeypatch):
    steps, path = DiskSteps(monkeypatch), tmp_path / "history.jsonl"
    append_events(path, EVENTS[:2])
    assert steps.all == [Step("sync", path, path.read_bytes()), Step("sync", tmp_path)]


def test_no_file_is_no_history(tmp_path: Path):
    assert read_events(tmp_path / "history.jsonl") == []


def test_a_last_line_torn_at_any_byte(place: Path):
    path = place / "history.jsonl"
    append_events(path, EVENTS)
    whole = path.read_bytes()
    begin = len(whole) - len(whole.splitlines()[-1]) - 1
    for end in range(begin, len(whole)):
        for tail in (b"", b"\0" * 5):
            path.write_bytes(whole[:end] + tail)
            assert read_events(path) == EVENTS[:2]
            append_events(path, EVENTS[2:])
            assert path.read_bytes() == whole


def test_a_registry_writes_torn_lines_again(root: Path):
    """Wherever the file was cut or lost, one further call makes it what it was."""
    wanted = snapshot(root)
    path = root / "history.jsonl"
    whole = path.read_bytes()
    for end in (*range(0, len(whole), 97), len(whole) - 1):
        path.write_bytes(whole[:end])
        told = [event.key for event in Registry(root).history()]
        assert sorted(told) == sorted(event_from_json(line).key for line in whole.splitlines())
        Registry(root).promote("v0004", {})
        assert path.read_bytes().startswith(whole[: whole.rfind(b"\n", 0, end) + 1])
        assert len(path.read_bytes().splitlines()) == len(whole.splitlines())
        assert {**snapshot(root), "history": 0} == {**wanted, "history": 0}
    path.unlink()
    Registry(root).promote("v0004", {})
    assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())


@pytest.mark.parametrize(
    "line", [b"\0" * 40, b"{}", b"[]", b"7", b'{"event": "add"}', b'{"event": "x", "version": "v1"}']
)
def test_a_damaged_line_is_told_and_the_others_stand(tmp_path: Path, line: bytes, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "history.jsonl"
    append_events(path, EVENTS)
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], line, lines[2], b""]))
    with caplog.at_level(logging.WARNING):
        assert read_events(path) == [EVENTS[0], EVENTS[2]]
    assert [record.getMessage().startswith(f"{path}, line 2: ") for record in caplog.records] == [True]
