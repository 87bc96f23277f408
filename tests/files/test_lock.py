from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import distill
from distill.errors import UserError
from distill.files.lock import Held, hold, leave_note, open_locked, read_note

HOLDER = """
import sys, time
from pathlib import Path
from distill.files.lock import leave_note, open_locked
file = open_locked(Path(sys.argv[1]))
leave_note(file, "the other one")
print("held", flush=True)
time.sleep(60)
"""


def test_what_another_process_holds_is_refused_with_its_note_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            with pytest.raises(Held, match="is locked by the other one") as caught:
                open_locked(path)
        finally:
            other.kill()
        assert caught.value.note == "the other one"
        other.wait()
    with open_locked(path) as file:
        assert read_note(file) == "the other one"
        leave_note(file, "")
        assert read_note(file) == ""


def test_closing_frees_it(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with open_locked(path), pytest.raises(Held):
        open_locked(path)
    with open_locked(path, wait=True):
        pass


def test_an_open_file_can_be_held_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "features.partial"
    with path.open("ab") as file, path.open("ab") as second:
        file.write(b"rows")
        hold(file, path)
        with pytest.raises(Held, match="is locked by another process"):
            hold(second, path)
    assert path.read_bytes() == b"rows"


def test_a_note_that_is_no_text_is_none(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_bytes(b"\xff\xfe")
    with open_locked(tmp_path / ".lock") as file:
        assert read_note(file) == ""


@pytest.mark.parametrize(("number", "kind"), [(95, UserError), (37, UserError), (5, OSError)])
def test_a_file_system_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    def flock(file: object, how: int) -> None:
        raise OSError(number, "Operation not supported")

    monkeypatch.setattr("distill.files.lock.fcntl.flock", flock)
    with pytest.raises(kind, match="Operation not supported"):
        open_locked(tmp_path / ".lock")


def test_nobody_else_locks() -> None:
    """``claims`` shares out the numbers of one file among machines, with locks of another kind."""
    root = Path(distill.__file__).parents[1]
    found = [
        str(path.relative_to(root))
        for package in ("distill", "teachers")
        for path in sorted((root / package).rglob("*.py"))
        if re.search(r"\bfcntl\b", path.read_text())
    ]
    assert found == ["distill/files/claims.py", "distill/files/lock.py"]
