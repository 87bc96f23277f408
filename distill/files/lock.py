"""The one lock: the kernel's flock(2) on a file, freed when its process dies, however it dies.

The holder may leave a note in the file for users; only the kernel knows whether it is held.
"""

from __future__ import annotations

import errno
import fcntl
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from distill.errors import UserError

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class Held(Exception):
    """Another process holds the lock on ``path``; ``note`` is its text in the file, "" for none."""

    def __init__(self, path: Path, note: str = "") -> None:
        super().__init__(f"{path} is locked by {note or 'another process'}")
        self.note = note


def open_locked(path: Path, wait: bool = False) -> IO[str]:
    """The file, made where it is missing, and locked until it is closed.

    Raises OSError where it cannot be opened, ``Held`` where another process has it and ``wait`` is false, UserError
    where the file system has no locks.
    """
    file = path.open("a+", encoding="utf-8")
    try:
        hold(file, path, wait)
    except Held:
        with file:
            raise Held(path, read_note(file)) from None
    except BaseException:
        file.close()
        raise
    return file


def hold(file: IO[Any], path: Path, wait: bool = False) -> None:
    """Lock an open file for this process until it is closed; raises ``Held`` and UserError as ``open_locked`` does."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Held(path) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise UserError(
            f"{path}: this file system has no locks ({error.strerror}); expected a folder on one that has flock, so "
            "that no two processes work there at the same time"
        ) from error


def read_note(file: IO[str]) -> str:
    """The note of the last holder; "" if there is none or it is no text."""
    file.seek(0)
    with suppress(ValueError):
        return file.read().strip()
    return ""


def leave_note(file: IO[str], text: str) -> None:
    """Replace the note. It guards nothing, so a full disk may lose it."""
    with suppress(OSError):
        file.truncate(0)
        file.write(text)
        file.flush()
