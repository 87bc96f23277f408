"""Something happens to a process just before its n-th change of a folder: it dies, or finds the disk full.

The interpreter's audit events (PEP 578) tell of every opening, renaming, linking and removing before it is done.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_DIRECTORY  # a folder is opened so to be synchronised
_PLACE = {"open": 0, "os.rename": 0, "os.mkdir": 0, "os.symlink": 1, "os.remove": 0, "os.rmdir": 0}
_FREEING = ("os.remove", "os.rmdir")

_watching: list[Callable[[str, tuple[Any, ...]], None]] = []
_hooked: list[bool] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event in _PLACE and _watching:
        _watching[-1](event, args)


@contextmanager
def watch(root: Path, on_change: Callable[[str, int], None]) -> Iterator[None]:
    """Call ``on_change`` with the event and its number, from 1, before each change below ``root``."""
    done = 0

    def look(event: str, args: tuple[Any, ...]) -> None:
        nonlocal done
        relative = event in _FREEING and not os.path.isabs(args[0])  # rmtree works from open folders
        reading = event == "open" and not args[2] & _WRITING
        if not reading and (relative or str(args[_PLACE[event]]).startswith(str(root))):
            done += 1
            on_change(event, done)

    if not _hooked:  # a hook stays for the life of the process
        sys.addaudithook(_hook)
        _hooked.append(True)
    _watching.append(look)
    try:
        yield
    finally:
        _watching.pop()


def dying(step: int) -> Callable[[str, int], None]:
    """Die like by ``kill -9`` before change ``step``."""

    def on_change(event: str, number: int) -> None:
        if number == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return on_change


def filling(step: int) -> Callable[[str, int], None]:
    """No space from change ``step`` on; removing works."""

    def on_change(event: str, number: int) -> None:
        if number >= step and event not in _FREEING:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return on_change
