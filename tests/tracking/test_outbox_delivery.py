"""Deliveries as they run: a process of their own with the real W&B, offline or against servers that are not there."""

from __future__ import annotations

import fcntl
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import wandb

from distill.tracking.night_events import NightFiles, failure_event, night_events
from distill.tracking.outbox import REFUSED, Outbox, OutboxEvent, deliver, read_event
from distill.tracking.outbox_delivery import LOCK, Undeliverable, _files, deliver_all
from distill.tracking.wandb_session import Shield
from distill.tracking.wandb_settings import TrackingMode, WandbSettings
from tracking.test_night_events import SECONDS, results

OFFLINE, ONLINE = WandbSettings(mode=TrackingMode.offline), WandbSettings(mode=TrackingMode.online)
KEY = "a" * 40


@pytest.fixture(autouse=True)
def _alone(no_account: None) -> Iterator[None]:
    """No account, and a W&B that ends with the test."""
    yield
    with Shield():
        wandb.teardown()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A service whose seventh night is over and has not been delivered."""
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


@dataclass(frozen=True)
class Fragment:
    """What W&B's own reader finds in the folder of one start of a run."""

    run: dict[str, Any]
    artifacts: list[dict[str, Any]]
    history: list[dict[str, Any]]
    text: str


def read(path: Path) -> Fragment:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    records = [json.loads(line) for line in text.splitlines()]
    found = {kind: [r[kind] for r in records if r["type"] == kind] for kind in ("run", "artifact", "history")}
    return Fragment(found["run"][0], found["artifact"], [row["item"] for row in found["history"]], text)


def fragments(folder: Path) -> list[Path]:
    return sorted((folder / "wandb").glob("offline-run-*"))


def keep(folder: Path, *runs: str) -> None:
    """Leave only the events of these runs in the outbox."""
    for path in Outbox(folder).pending():
        if read_event(path).run not in runs:
            path.unlink()


@pytest.mark.slow
def test_a_night_is_told_and_told_again_it_is_the_same(root: Path) -> None:
    keep(root, "train", "registry", "nights")
    events = {path: path.read_bytes() for path in Outbox(root).pending()}
    assert deliver(root, OFFLINE)
    assert Outbox(root).pending() == []
    first = {f.run["display_name"]: f for f in map(read, fragments(root))}
    assert sorted(first) == ["night-0007-train", "nights", "registry"]
    time.sleep(1)  # W&B names the fragments by the second
    for path, content in events.items():
        path.write_bytes(content)  # as if the process had died before it removed them
    assert deliver(root, OFFLINE)
    again = {f.run["display_name"]: f for f in map(read, fragments(root)[3:])}
    assert sorted(again) == sorted(first)
    for name, fragment in first.items():
        assert fragment.run["run_id"] == again[name].run["run_id"]
        assert [a["digest"] for a in fragment.artifacts] == [a["digest"] for a in again[name].artifacts]
    trained, (previous, champion) = first["night-0007-train"], first["registry"].artifacts
    assert trained.run["run_group"] == "night-0007"
    assert trained.artifacts[0]["digest"] == champion["digest"] != previous["digest"]
    assert (set(previous["aliases"]), set(champion["aliases"])) == ({"previous", "latest"}, {"champion", "latest"})
    (row,) = first["nights"].history
    assert (row["night"], row["_step"], row["score/lfw/accuracy/challenger"]) == (7, 7, 0.95)


def test_copies_of_the_files_lie_inside_of_the_service(root: Path) -> None:
    keep(root, "registry", "report")
    assert deliver(root, OFFLINE)
    staged = {path.read_bytes() for path in (root / "wandb" / "artifacts").rglob("*") if path.is_file()}
    assert {b"v0001", b"v0002", b"<title>night 7</title>"} <= staged


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "timeout_s", "reason"),
    [("no login", 90, "not logged in"), ("refused", 90, "Error"), ("silent", 8, "not done within 8 s")],
)
def test_away_or_slow_it_costs_a_line_and_no_event(
    root: Path,
    kind: str,
    timeout_s: float,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = [path.read_bytes() for path in Outbox(root).pending()]
    with socket.create_server(("127.0.0.1", 0)) as hole:  # takes connections and never answers
        port = hole.getsockname()[1] if kind == "silent" else 9
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
        if kind != "no login":
            monkeypatch.setenv("WANDB_API_KEY", KEY)
        began = time.monotonic()
        assert not deliver(root, ONLINE, timeout_s=timeout_s)
        assert time.monotonic() - began < timeout_s + 10
    (record,) = caplog.records
    line = record.getMessage()
    assert line.startswith(f"W&B: {len(before)} events wait in {root / 'outbox'} (")
    assert reason in line
    assert "\n" not in line
    assert KEY not in line
    assert [path.read_bytes() for path in Outbox(root).pending()] == before


def test_a_delivery_that_takes_too_long_is_ended(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    began = time.monotonic()
    assert not deliver(root, OFFLINE, timeout_s=0.3)
    assert time.monotonic() - began < 10
    assert "not done within 0.3 s" in caplog.text
    assert Outbox(root).pending()


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


@pytest.mark.slow
def test_what_can_never_be_told_is_put_aside_and_holds_up_nothing(root: Path) -> None:
    keep(root, "freeze", "report", "registry")
    Outbox(root).pending()[0].write_text("{")
    (root / "report.html").write_text("another report")
    (root / "v0001" / "student.onnx").unlink()
    assert deliver(root, OFFLINE)
    assert len(list((root / "outbox" / REFUSED).iterdir())) == 3
    (told,) = (f for f in map(read, fragments(root)) if f.artifacts)
    assert [sorted(artifact["aliases"]) for artifact in told.artifacts] == [["champion", "latest"]]


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


def test_an_alert_is_told_with_a_title_that_fits(root: Path) -> None:
    keep(root)
    Outbox(root).append(OutboxEvent.make("alert", "verdict", 1, {"title": "x" * 200, "text": "t", "level": "WARN"}))
    assert deliver(root, OFFLINE)
    told = read(fragments(root)[0]).text
    assert '"type":"alert"' in told
    assert "x" * 63 in told
    assert "x" * 64 not in told
