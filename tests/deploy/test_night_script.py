"""``deploy/night.sh``: which statuses it changes, and that signals reach the night."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TELLS_ITS_SIGNAL = """
    import signal, sys, time
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(sys.argv[1])))
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def script(deploy: Path) -> str:
    return str(deploy / "night.sh")


@pytest.mark.parametrize(("status", "told"), [(0, 0), (10, 0), (20, 0), (1, 1), (2, 2), (75, 75), (130, 130)])
def test_promoted_and_rejected_become_success(script: str, status: int, told: int):
    assert subprocess.run([script, sys.executable, "-c", f"raise SystemExit({status})"]).returncode == told


def test_words_arrive_as_they_were_given(script: str):
    words = ["drops=a b", "it's", "*", ""]
    code = "import sys; print(sys.argv[1:])"
    done = subprocess.run([script, sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr(words)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize(("status", "told"), [(10, 0), (1, 1)])
def test_a_signal_reaches_the_night_and_its_own_status_counts(script: str, number: int, status: int, told: int):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
    code = textwrap.dedent(TELLS_ITS_SIGNAL)
    process = subprocess.Popen([script, sys.executable, "-c", code, str(status)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == told


def test_a_killed_night_is_a_failure(script: str):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([script, sys.executable, "-c", code]).returncode == 128 + signal.SIGKILL


def test_a_command_that_is_not_there_is_a_failure(script: str, tmp_path: Path):
    done = subprocess.run([script, str(tmp_path / "none")], capture_output=True, text=True)
    assert done.returncode == 127


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing(script: str):
    done = subprocess.run(["shellcheck", "--severity=style", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
