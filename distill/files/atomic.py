"""The one way to write a file: atomic, and synced to disk before the call returns.

Contents first, then the name, then the folder that holds the name: after a crash or a power cut there is the earlier
file or the new one. Folders and links are made so by ``distill.files.durable``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from distill.errors import UserError
from distill.files.durable import rename_synced
from distill.redact import redact, redact_known
from distill.shown import ERRORS


@contextmanager
def replacing(path: Path, partial: Path | None = None) -> Iterator[IO[bytes]]:
    """An open file that becomes ``path`` at the end of the block. Raises OSError, and then keeps an earlier file.

    It is written beside ``path`` under a name that holds the writer's process number, or at ``partial`` on the same
    file system: for a writer that holds a lock, so that it overwrites what a killed one left.
    """
    partial = partial or path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        rename_synced(partial, path)
    except BaseException:
        with suppress(OSError):  # where its folder is no folder, there is nothing to remove
            partial.unlink()
        raise


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically. Raises UserError on failure, and keeps an earlier file."""
    try:
        with replacing(path) as file:
            file.write(data)
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({len(data)} bytes): {error.strerror}; expected a writable folder with that much "
            "space, so free some or choose another folder. An earlier file there is untouched"
        ) from error


def write_text(path: Path, text: str) -> None:
    """The same for text that is read back; bytes of paths that are no UTF-8 are written as they are."""
    write_atomic(path, text.encode(errors="surrogateescape"))


def write_page(path: Path, text: str) -> None:
    """The same for text that people read, whatever names are in it, without secrets of the environment."""
    write_atomic(path, redact_known(text).encode(errors=ERRORS))


def write_json(path: Path, content: Any) -> None:
    """The same for plain content, without secrets."""
    write_text(path, json.dumps(redact(content), indent=2, allow_nan=False) + "\n")
