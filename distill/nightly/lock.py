"""One night at a time: a lock that the kernel holds, and a note in it for people."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from distill.errors import UserError
from distill.nightly.records import now

LOCK = ".lock"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@dataclass(frozen=True)
class Holder:
    """Who wrote the note in a lock. It is read by people alone: whether the lock is held, the kernel says."""

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

    The lock is the kernel's (flock(2)), which frees it when its process dies, however it dies. Raises ``Busy`` where
    another process has it, ``UserError`` where the folder cannot be written or its file system has no locks.
    """
    path = root / LOCK
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; expected a writable folder: root=DIR") from error
    with file:
        _take(file, path)
        left = _noted(file)
        _note(file, json.dumps(asdict(_this_process())))
        try:
            yield None if left is None else f"took over the lock of {left}: {left.end()}"
        finally:
            _note(file, "")


def _take(file: IO[str], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = _noted(file)
        raise Busy(f"another night is running: {who or 'a process that left no note'} ({path})") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise UserError(
            f"{path}: this file system has no locks ({error.strerror}); expected one that has flock, so that two "
            "nights cannot meet: root=DIR"
        ) from error


def _noted(file: IO[str]) -> Holder | None:
    """The note in the lock; None where there is none, or one that was torn."""
    file.seek(0)
    with suppress(ValueError, TypeError):
        said: dict[str, Any] = json.loads(file.read())
        return Holder(**said)
    return None


def _note(file: IO[str], text: str) -> None:
    """Replace the note. It guards nothing, so a full disk may lose it."""
    with suppress(OSError):
        file.truncate(0)
        file.write(text)
        file.flush()


def _this_process() -> Holder:
    return Holder(os.getpid(), socket.gethostname(), _boot_id(), now())


def _boot_id() -> str:
    """What the kernel calls the time since it was started; "" where it does not say."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
