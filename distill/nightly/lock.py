"""One night at a time: a lock that the kernel holds, and a note in it for people."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from distill.errors import UserError
from distill.files.json_file import from_text
from distill.files.lock import Held, leave_note, open_locked, read_note
from distill.nightly.records import now

LOCK = ".lock"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Holder:
    """The process in the note of a lock, for messages only: the kernel decides whether the lock is held."""

    pid: int
    host: str
    boot_id: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    def end(self) -> str:
        """What became of a holder that left its note behind."""
        if self.host != socket.gethostname():
            return f"{self.host} was lost or it was killed"
        return "it was killed" if self.boot_id == _boot_id() else "the machine has been started again since"


class Busy(Exception):
    """Another process holds the lock; the message is a line that names it."""


@contextmanager
def held(root: Path) -> Iterator[str | None]:
    """Hold ``root/.lock`` inside of the block; yields a line about a holder that ended without leaving, else None.

    Raises ``Busy`` where another process has it, ``UserError`` where the folder cannot be written or its file system
    has no locks.
    """
    path = root / LOCK
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = open_locked(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; expected a writable folder: root=DIR") from error
    except Held as error:
        who = _holder(error.note) or "an unknown process"
        raise Busy(f"another night is running: {who} ({path})") from None
    with file:
        left = _holder(read_note(file))
        leave_note(file, json.dumps(asdict(_this_process())))
        try:
            yield None if left is None else f"took over the lock of {left}: {left.end()}"
        finally:
            leave_note(file, "")


def _holder(note: str) -> Holder | None:
    """Who wrote a note; None where there is none, or one that was torn."""
    with suppress(ValueError):
        return from_text(Holder, note)
    return None


def _this_process() -> Holder:
    return Holder(os.getpid(), socket.gethostname(), _boot_id(), now())


def _boot_id() -> str:
    """Start time of the process as the kernel counts it; "" where it is unknown."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
