"""W&B really runs here, offline or against a server that is not there; nothing of it is replaced."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb

from distill.errors import UserError
from distill.redact import HIDDEN, redact
from distill.tracking.wandb_run import ID_FILE, WandbRun
from distill.tracking.wandb_session import Shield, logged_in
from distill.tracking.wandb_settings import WandbSettings

KEY = "a" * 40

DYING_HELPER = """
import os, signal, sys, time
from pathlib import Path
from distill.tracking.wandb_run import WandbRun
from distill.tracking.wandb_settings import WandbSettings

run = WandbRun(Path(sys.argv[1]), WandbSettings(), {})
run.log(0, {"loss": 1.0})
for children in Path("/proc/self/task").glob("*/children"):
    for pid in children.read_text().split():
        if b"wandb-core" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(int(pid), signal.SIGKILL)
deadline = time.monotonic() + 10
while run.alive and time.monotonic() < deadline:
    run.log(1, {"loss": 1.0})
    time.sleep(0.1)
assert not run.alive
run.summary({"verdict": "pass"})
run.finish()
later = WandbRun(Path(sys.argv[2]), WandbSettings(), {})
later.log(0, {"loss": 1.0})
later.finish()
print("done")
"""


@pytest.fixture(autouse=True)
def _alone(no_account: None, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No account, and a W&B process of the test's own."""
    caplog.set_level("INFO", logger="distill.tracking.wandb_run")
    yield
    with Shield():
        wandb.teardown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "run-a"
    path.mkdir()
    return path


def start(folder: Path, mode: Any = "offline", config: dict[str, Any] | None = None) -> WandbRun:
    return WandbRun(folder, WandbSettings(mode=mode), config or {})


def inspect(fragment: Path) -> dict[str, Any]:
    """What W&B's own reader finds in the folder of one start."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(fragment)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def fragments(folder: Path) -> list[Path]:
    return sorted((folder / "wandb").glob("offline-run-*"))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.slow
def test_an_offline_run_holds_all_that_was_logged(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = start(folder, config={"student": "vargnet", "storage": {"secret_key": "hidden"}})
    for step in range(3):
        run.log(step, {"loss": 3.0 - step, "lr": 0.1, "verification/accuracy": 0.5 + 0.1 * (step % 2)})
    run.histogram(2, "similarity/genuine", [1, 2], [-1.0, 0.0, 1.0])
    run.summary({"cost/flops": 123, "verdict": "pass"})
    run.finish()
    said = inspect(fragments(folder)[0])
    summary = said["summary"]
    assert said["config"] == {"student": "vargnet", "storage": {"secret_key": HIDDEN}}
    assert (said["exit_code"], said["state"], said["name"]) == (0, "finished", "run-a")
    assert (summary["trainer/global_step"], summary["_step"], summary["lr"]) == (2, 2, 0.1)
    assert summary["loss"] == {"last": 1.0, "min": 1.0}
    assert summary["verification/accuracy"] == {"last": 0.5, "max": 0.6}
    assert summary["similarity/genuine"] == {"_type": "histogram", "values": [1, 2], "bins": [-1, 0, 1]}
    assert (summary["cost/flops"], summary["verdict"]) == (123, "pass")
    assert capfd.readouterr() == ("", "")  # our own line goes through logging


@pytest.mark.slow
def test_a_resumed_run_is_the_same_run_and_keeps_its_steps(folder: Path) -> None:
    for first, last in [(0, 3), (2, 5)]:
        run = start(folder)
        for step in range(first, last):
            run.log(step, {"loss": float(step)})
        run.finish()
        time.sleep(1)  # W&B names the fragments by the second
    said = [inspect(fragment) for fragment in fragments(folder)]
    assert [one["run_id"] for one in said] == [(folder / ID_FILE).read_text().strip()] * 2
    assert [one["summary"]["trainer/global_step"] for one in said] == [2, 4]


def test_every_series_is_defined_over_the_optimiser_step(folder: Path) -> None:
    run = start(folder)
    run.log(0, {"loss": 1.0, "raw/margin": 2.0})
    run.log(1, {"loss": 1.0, "lr": 0.5})
    run.finish()
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(fragments(folder)[0])]
    records = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    metrics = [line for line in records.splitlines() if '"type":"metric"' in line]
    for name in ("loss", "raw/margin", "lr"):
        assert any(f'"{name}"' in line and '"trainer/global_step"' in line for line in metrics), name


def test_the_artifact_is_staged_inside_of_the_run_folder(folder: Path) -> None:
    model = folder / "student.onnx"
    model.write_bytes(b"an onnx file")
    run = start(folder)
    run.artifact([model], "vargnet from r152", {"sha256": "abc"})
    assert run.alive
    run.finish()
    staged = [path for path in (folder / "wandb" / "artifacts").rglob("*") if path.is_file()]
    assert b"an onnx file" in [path.read_bytes() for path in staged]
    assert "WANDB_DATA_DIR" not in os.environ


@pytest.mark.slow
def test_runs_of_a_multirun_do_not_meet(tmp_path: Path) -> None:
    folders = [tmp_path / "0", tmp_path / "1"]
    for number, folder in enumerate(folders):
        folder.mkdir()
        run = start(folder, config={"number": number})
        run.log(number, {"loss": float(number)})
        run.finish()
        assert wandb.run is None
        assert "WANDB_MODE" not in os.environ
    said = [inspect(fragments(folder)[0]) for folder in folders]
    assert [one["config"]["number"] for one in said] == [0, 1]
    assert said[0]["run_id"] != said[1]["run_id"]


def test_disabled_touches_nothing(folder: Path) -> None:
    run = start(folder, "disabled")
    run.log(0, {"loss": 1.0})
    run.finish()
    assert list(folder.iterdir()) == []


def test_online_without_a_login_stays_offline(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = start(folder, "online")
    run.log(0, {"loss": 1.0})
    run.finish()
    assert len(fragments(folder)) == 1
    (line,) = warnings(caplog)
    assert re.match(r"W&B: stays offline .*wandb login", line)


@pytest.mark.parametrize("kind", ["refused", pytest.param("silent", marks=pytest.mark.slow)])
def test_an_unreachable_server_costs_seconds_and_no_data(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:  # takes connections and never answers
        port = hole.getsockname()[1] if kind == "silent" else 9
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        began = time.monotonic()
        run = start(folder, "online")
        assert time.monotonic() - began < 45  # some 3 and 16 s on an idle machine
        run.log(0, {"loss": 1.0})
        run.finish()
    assert len(fragments(folder)) == 1
    (line,) = warnings(caplog)
    assert "stays offline" in line
    assert "\n" not in line
    assert KEY not in line


def test_training_goes_on_without_the_package(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    run = start(folder)
    run.log(0, {"loss": 1.0})
    run.artifact([folder / "student.onnx"], "x", {})
    run.finish()
    assert not run.alive
    (line,) = warnings(caplog)
    assert re.match("W&B: off for the rest of this run .*ModuleNotFoundError", line)


def test_training_goes_on_in_a_folder_that_takes_no_files(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "wandb").write_text("a file where the folder should be")
    run = start(folder)
    run.log(0, {"loss": 1.0})
    run.finish()
    assert not run.alive
    assert "FileExistsError" in "".join(warnings(caplog))


@pytest.mark.slow
def test_training_goes_on_when_the_helper_process_dies(folder: Path, tmp_path: Path) -> None:
    """In a process of its own, because W&B never waits for the helper that is killed here."""
    later = tmp_path / "later"
    later.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", DYING_HELPER, str(folder), str(later)], capture_output=True, text=True, timeout=120
    )
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
    (line,) = done.stderr.splitlines()
    assert "off for the rest of this run" in line
    assert inspect(fragments(later)[0])["summary"]["loss"]["last"] == 1.0


def test_training_goes_on_when_an_artifact_is_missing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = start(folder)
    run.artifact([folder / "absent.onnx"], "x", {})
    assert not run.alive
    assert "absent.onnx" in "".join(warnings(caplog))


def test_the_disk_limit_of_wandb_does_not_reach_training(folder: Path) -> None:
    """A file-size limit for this process and W&B's helper stands for a full disk."""
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from distill.tracking.wandb_run import WandbRun\n"
        "from distill.tracking.wandb_settings import WandbSettings\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "run = WandbRun(Path(sys.argv[1]), WandbSettings(), {})\n"
        "for step in range(400): run.log(step, {f'loss{i}': float(step) for i in range(9)})\n"
        "run.finish(); print('done')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
    assert all(path.stat().st_size <= 20_000 for path in folder.rglob("*") if path.is_file())


def test_errors_of_our_own_are_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError), Shield():
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt), Shield():
        raise KeyboardInterrupt
    with Shield() as shield:
        wandb.Histogram([1.0], num_bins=10**6)
    assert shield.failure is not None
    assert "ValueError" in shield.failure


def test_a_misspelt_mode_is_refused() -> None:
    with pytest.raises(UserError, match=r"tracking\.mode is 'onlin'; expected one of offline, online, disabled"):
        WandbSettings(mode="onlin")  # pyright: ignore[reportArgumentType]


def test_who_is_logged_in(tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.wandb.ai\n  login user\n  password " + KEY + "\n")
    here = {"NETRC": str(netrc)}
    assert logged_in("https://api.wandb.ai", here)
    assert not logged_in("https://wandb.example.org", here)
    assert not logged_in("https://api.wandb.ai", {"HOME": str(tmp_path)})
    (tmp_path / ".netrc").write_text(netrc.read_text())
    assert logged_in("https://api.wandb.ai", {"HOME": str(tmp_path)})
    assert logged_in("https://api.wandb.ai", {"WANDB_API_KEY": KEY, "HOME": "/nowhere"})
    netrc.write_text("machine api.wandb.ai login")
    assert not logged_in("https://api.wandb.ai", here)


def test_secrets_are_masked_at_any_depth() -> None:
    config = {"api_key": "k", "list": [{"Password": "p"}], "url": "https://me:pw@host/x", "token": None, "lr": 0.1}
    assert redact(config) == {
        "api_key": HIDDEN,
        "list": [{"Password": HIDDEN}],
        "url": f"https://{HIDDEN}@host/x",
        "token": None,
        "lr": 0.1,
    }
