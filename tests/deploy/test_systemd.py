"""The systemd units: what they say, and what systemd itself says of them."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

SERVICE, TIMER = "face-distill-nightly.service", "face-distill-nightly.timer"
PYTHON = "/opt/face-distill/.venv/bin/python"
MAX_EXPOSURE = 2.5
"""Of 10, by the reckoning of `systemd-analyze security`."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def settings(unit: Path) -> dict[str, list[str]]:
    """Values by key, each as often as it is given."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in unit.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[key].append(value)
    return found


@pytest.fixture
def units(deploy: Path, tmp_path: Path) -> Path:
    """The units with a Python that exists: systemd looks for what ExecStart= names."""
    for name in (SERVICE, TIMER):
        text = (deploy / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace(PYTHON, sys.executable))
    return tmp_path


def verified(*paths: Path) -> str:
    """What systemd has to say against the units; it ends with 0 whether it has or not."""
    words = ["systemd-analyze", "verify", "--man=no", *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout + done.stderr


@needs_systemd
def test_systemd_accepts_the_units(units: Path):
    assert verified(units / SERVICE, units / TIMER) == ""


@needs_systemd
@pytest.mark.parametrize(
    ("unit", "good", "bad", "told"),
    [
        (SERVICE, "SuccessExitStatus=10 20", "SuccessExitStatus=10 2000", "2000"),
        (SERVICE, "ProtectSystem=strict", "ProtectSystm=strict", "ProtectSystm"),
        (TIMER, "OnCalendar=*-*-* 02:30:00", "OnCalendar=*-*-* 25:30:00", "25:30:00"),
    ],
)
def test_systemd_would_have_refused_a_mistake(units: Path, unit: str, good: str, bad: str, told: str):
    text = (units / unit).read_text()
    assert good in text
    (units / unit).write_text(text.replace(good, bad))
    assert told in verified(units / unit)


@needs_systemd
def test_systemd_counts_little_that_the_service_may_do(units: Path):
    words = ["systemd-analyze", "security", "--offline=true", f"--threshold={round(10 * MAX_EXPOSURE)}"]
    done = subprocess.run([*words, str(units / SERVICE)], capture_output=True, text=True)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze judges no unit that is not loaded")
    assert done.returncode == 0, done.stdout


def test_the_service_runs_a_night_and_knows_its_statuses(deploy: Path, is_a_night: Callable[[list[str]], None]):
    said = settings(deploy / "systemd" / SERVICE)
    python, *words = shlex.split(said["ExecStart"][0])
    assert python == PYTHON
    is_a_night(words)
    assert said["Type"] == ["oneshot"]
    assert said["SuccessExitStatus"] == ["10 20"]
    assert said["RestartPreventExitStatus"] == ["2 75"]
    root = next(word.removeprefix("root=") for word in words if word.startswith("root="))
    assert root.startswith(f"/var/lib/{said['StateDirectory'][0]}/"), "all else is read-only"
    assert said["ProtectSystem"] == ["strict"]


def test_secrets_come_from_a_file_that_is_not_in_the_unit(deploy: Path):
    said = settings(deploy / "systemd" / SERVICE)
    assert said["EnvironmentFile"] == ["-/etc/face-distill/nightly.env"]
    assert "KEY" not in " ".join(said["Environment"])


def test_a_night_that_was_missed_is_made_up_for(deploy: Path):
    assert settings(deploy / "systemd" / TIMER)["Persistent"] == ["true"]
