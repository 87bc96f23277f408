"""One night at a time: between real processes, one of which is killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.nightly import lock
from distill.nightly.lock import LOCK, Busy, Holder, held

SCRIPT = """
import sys
from pathlib import Path
from distill.nightly.lock import held
with held(Path(sys.argv[1])) as said:
    print(said, flush=True)
    sys.stdin.read()
"""


@contextmanager
def another(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until its input ends."""
    command = [sys.executable, "-c", SCRIPT, str(root)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "None\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def note(root: Path, **changed: object) -> None:
    """Leave a note as a holder does that ended without leaving."""
    holder = replace(Holder(1, socket.gethostname(), lock._boot_id(), "2026-01-01T02:00:00+00:00"), **changed)  # pyright: ignore[reportArgumentType]
    (root / LOCK).write_text(json.dumps(vars(holder)))


def test_while_one_holds_it_another_is_told_who_and_since_when(tmp_path: Path):
    with another(tmp_path) as process:
        with pytest.raises(Busy) as busy, held(tmp_path):
            pass
        line = str(busy.value)
        assert line.startswith(f"another night is running: process {process.pid} on {socket.gethostname()}, since 20")
        assert "\n" not in line
        process.communicate()
    with held(tmp_path) as said:
        assert said is None, "it left in order"


def test_a_killed_holder_holds_nothing_and_is_named(tmp_path: Path):
    with another(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with held(tmp_path) as said:
            assert said is not None
            assert said.startswith(f"took over the lock of process {process.pid} on ")
            assert said.endswith(": it was killed")
    with held(tmp_path) as said:
        assert said is None, "it is told once"


@pytest.mark.parametrize(
    ("changed", "end"),
    [
        ({"boot_id": "another"}, "the machine has been started again since"),
        ({"host": "elsewhere"}, "elsewhere was lost or it was killed"),
        ({}, "it was killed"),
    ],
)
def test_what_became_of_the_holder(tmp_path: Path, changed: dict, end: str):
    note(tmp_path, **changed)
    with held(tmp_path) as said:
        assert said is not None
        assert said.endswith(f": {end}")


def test_a_note_of_this_very_process_s_number_is_no_lock(tmp_path: Path):
    """Numbers of processes are given again, above all in containers, where a night may always be process 1."""
    note(tmp_path, pid=os.getpid())
    with held(tmp_path) as said:
        assert said is not None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', "null", "3"])
def test_a_torn_note_is_no_lock(tmp_path: Path, text: str):
    (tmp_path / LOCK).write_text(text)
    with held(tmp_path) as said:
        assert said is None


def test_twice_in_one_process_is_refused_too(tmp_path: Path):
    with held(tmp_path), pytest.raises(Busy, match=f"process {os.getpid()} "), held(tmp_path):
        pass


def test_an_error_inside_frees_it(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), held(tmp_path):
        raise ZeroDivisionError
    with held(tmp_path) as said:
        assert said is None


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/\.lock"), held(tmp_path / "file"):
        pass


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def flock(file: object, how: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("distill.files.lock.fcntl.flock", flock)
    with pytest.raises(UserError, match="this file system has no locks"), held(tmp_path):
        pass
