"""The outbox on disk: order, repetition, damage, secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distill.redact import HIDDEN
from distill.tracking.outbox import DamagedEvent, Outbox, OutboxEvent, deliver, read_event
from distill.tracking.wandb_settings import TrackingMode, WandbSettings


def alert(number: int, **more: Any) -> OutboxEvent:
    return OutboxEvent.make(
        "alert", "verdict", number, {"title": f"night {number}", "text": "t", "level": "WARN", **more}
    )


def test_events_wait_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    events = [alert(number) for number in (9, 10, 2)]
    for event in events:
        outbox.append(event)
    assert [read_event(path) for path in outbox.pending()] == events
    outbox.pending()[0].unlink()
    outbox.append(alert(1))
    assert [read_event(path).night for path in outbox.pending()] == [10, 2, 1]


def test_an_event_that_still_waits_is_kept_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    first = outbox.append(alert(1))
    outbox.append(alert(2))
    assert outbox.append(alert(1)) == first
    assert len(outbox.pending()) == 2


def test_what_a_killed_write_leaves_is_no_event(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    path = outbox.append(alert(1))
    path.with_name(f"{path.name}.17.partial").write_text("{")
    (outbox.folder / "notes.txt").write_text("somebody's own")
    assert outbox.pending() == [path]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"level": "WARN"', '"level": "INFO"'),
        lambda text: "[]",
        lambda text: "",
        lambda text: json.dumps({**json.loads(text), "more": 1}),
        lambda text: text.replace('"kind": "alert"', '"kind": "shell"'),
    ],
)
def test_a_torn_or_changed_event_is_recognised(tmp_path: Path, change: Any) -> None:
    path = Outbox(tmp_path).append(alert(1))
    path.write_text(change(path.read_text()))
    with pytest.raises(DamagedEvent, match="00000001"):
        read_event(path)


def test_no_secret_is_in_an_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "PLANTED-in-the-environment")
    monkeypatch.setenv("EDITOR_NAME", "harmless-value")
    path = Outbox(tmp_path).append(
        alert(
            1,
            conf={"storage": {"secret_key": "PLANTED-under-its-name"}},
            said=["key PLANTED-in-the-environment", "https://me:PLANTED-in-the-address@host/x", "harmless-value"],
        )
    )
    text = path.read_text()
    assert "PLANTED" not in text
    assert text.count(HIDDEN) == 3
    assert "harmless-value" in text


def test_disabled_and_empty_start_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent")
    assert deliver(tmp_path, WandbSettings(mode=TrackingMode.online))
    Outbox(tmp_path).append(alert(1))
    assert not deliver(tmp_path, WandbSettings(mode=TrackingMode.disabled))


def test_without_a_process_the_events_stay_and_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = Outbox(tmp_path).append(alert(1))
    monkeypatch.setattr("sys.executable", "/nonexistent")
    assert not deliver(tmp_path, WandbSettings(mode=TrackingMode.online))
    assert path.exists()
    (record,) = caplog.records
    assert record.getMessage().startswith(f"W&B: 1 events wait in {tmp_path / 'outbox'} (no process for it")
