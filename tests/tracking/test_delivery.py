"""Deliveries as they run: a process of their own with the real W&B, offline or against servers that are not there."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb

from distill.tracking.delivery import LOCK, Undeliverable, _files, deliver_all
from distill.tracking.night import NightFiles, failure_event, night_events
from distill.tracking.outbox import REFUSED, Event, Outbox, deliver
from distill.tracking.wandb_run import WandbSettings
from distill.tracking.wandb_start import Shield
from tracking.test_night import SECONDS, results

OFFLINE, ONLINE = WandbSettings(mode="offline"), WandbSettings(mode="online")
KEY = "a" * 40


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No account, no settings of the user."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    yield
    with Shield():
        wandb.teardown()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A service whose seventh night is over and has not been told."""
    folder = tmp_path / "service"
    for name in ("v0002", "v0001"):
        (folder / name).mkdir(parents=True)
        (folder / name / "student.onnx").write_bytes(name.encode())
    (folder / "report.html").write_text("<title>night 7</title>")
    fill(folder)
    return folder


def fill(folder: Path) -> None:
    files = NightFiles(folder / "v0002/student.onnx", folder / "v0001/student.onnx", folder / "report.html")
    for event in [*night_events(folder, 7, results(), SECONDS, files), failure_event(8, "train")]:
        Outbox(folder).append(event)


def inspect(fragment: Path, *options: str) -> str:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", *options, "--json", str(fragment)]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def fragments(folder: Path) -> list[Path]:
    return sorted((folder / "wandb").glob("offline-run-*"))


def named(folder: Path) -> dict[str, Path]:
    """The fragments by the names of their runs."""
    return {json.loads(inspect(path, "--summary"))["name"]: path for path in fragments(folder)}


def artifacts(fragment: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in inspect(fragment).splitlines() if '"type":"artifact"' in line]
    return [next(value for value in line.values() if isinstance(value, dict)) for line in lines]


def test_a_night_is_told_offline_and_told_again_it_is_the_same(root: Path) -> None:
    assert deliver(root, OFFLINE)
    assert Outbox(root).pending() == []
    runs = named(root)
    assert sorted(runs) == [
        *(f"night-0007-{part}" for part in ("freeze", "report", "signals", "train")),
        "night-0008-verdict",
        "nights",
        "registry",
    ]
    told = json.loads(inspect(runs["nights"], "--summary"))
    assert told["summary"]["score/lfw/accuracy/challenger"] == 0.95
    assert (told["summary"]["night"], told["summary"]["_step"], told["state"]) == (7, 7, "finished")
    staged = {path.read_bytes() for path in (root / "wandb" / "artifacts").rglob("*") if path.is_file()}
    assert {b"v0001", b"v0002", b"<title>night 7</title>"} <= staged
    first = {name: [a["digest"] for a in artifacts(path)] for name, path in runs.items()}
    assert first["night-0007-train"][0] == first["registry"][1] != first["registry"][0]
    ids = {name: json.loads(inspect(path, "--summary"))["run_id"] for name, path in runs.items()}
    time.sleep(1)  # W&B names the fragments by the second
    fill(root)  # as if the process had died before it removed them
    assert deliver(root, OFFLINE)
    again = {json.loads(inspect(path, "--summary"))["name"]: path for path in fragments(root)[len(runs) :]}
    assert {name: [a["digest"] for a in artifacts(path)] for name, path in again.items()} == first
    assert {name: json.loads(inspect(path, "--summary"))["run_id"] for name, path in again.items()} == ids


def test_the_runs_of_a_night_are_one_group(root: Path) -> None:
    for path in Outbox(root).pending()[1:]:
        path.unlink()
    assert deliver(root, OFFLINE)
    (fragment,) = fragments(root)
    assert '"night-0007"' in inspect(fragment)


@pytest.mark.parametrize("kind", ["no login", "refused", pytest.param("silent", marks=pytest.mark.slow)])
def test_away_or_slow_it_costs_a_line_and_no_event(
    root: Path, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = [path.read_bytes() for path in Outbox(root).pending()]
    with socket.create_server(("127.0.0.1", 0)) as hole:  # takes connections and never answers
        port = hole.getsockname()[1] if kind == "silent" else 9
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
        if kind != "no login":
            monkeypatch.setenv("WANDB_API_KEY", KEY)
        began = time.monotonic()
        assert not deliver(root, ONLINE, timeout_s=40)
        assert time.monotonic() - began < 50
    (record,) = caplog.records
    line = record.getMessage()
    assert line.startswith(f"W&B: {len(before)} events wait in {root / 'outbox'} (")
    assert "\n" not in line
    assert KEY not in line
    assert [path.read_bytes() for path in Outbox(root).pending()] == before


def test_a_delivery_that_takes_too_long_is_ended(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    began = time.monotonic()
    assert not deliver(root, OFFLINE, timeout_s=0.3)
    assert time.monotonic() - began < 10
    assert "not done within 0.3 s" in caplog.text
    assert deliver(root, OFFLINE)


def test_without_the_package_the_events_stay(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Outbox(root).pending()
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert deliver_all(Outbox(root), OFFLINE).startswith("ModuleNotFoundError")
    assert Outbox(root).pending() == waiting


def test_one_process_delivers(root: Path) -> None:
    waiting = Outbox(root).pending()
    with (root / "outbox" / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert deliver_all(Outbox(root), OFFLINE) == "another process delivers"
    assert Outbox(root).pending() == waiting


def test_what_can_never_be_told_is_put_aside_and_holds_up_nothing(root: Path) -> None:
    waiting = Outbox(root).pending()
    waiting[0].write_text("{")
    (root / "report.html").write_text("another report")
    (root / "v0001" / "student.onnx").unlink()
    assert deliver(root, OFFLINE)
    assert len(list((root / "outbox" / REFUSED).iterdir())) == 3
    assert "night-0007-train" in named(root)


@pytest.mark.parametrize("place", ["../secret.txt", "link", "absent"])
def test_no_file_outside_of_the_service_is_sent(tmp_path: Path, place: str) -> None:
    root = tmp_path / "service"
    root.mkdir()
    (tmp_path / "secret.txt").write_text("x")
    (root / "link").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(Undeliverable):
        list(
            _files(
                root,
                {"a": {"path": place, "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}},
            )
        )


def test_an_alert_s_title_fits(root: Path) -> None:
    for path in Outbox(root).pending():
        path.unlink()
    Outbox(root).append(Event.make("alert", "verdict", 1, {"title": "x" * 200, "text": "t", "level": "WARN"}))
    assert deliver(root, OFFLINE)
    assert "x" * 64 not in inspect(fragments(root)[0])
