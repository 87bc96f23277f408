"""Paths for libraries that accept only UTF-8: other files are reached through an open file descriptor in /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def utf8_path(path: Path) -> Iterator[str]:
    """The path as UTF-8 text, for as long as the block lasts. Files beside it are found there too, if its own name is
    UTF-8; a file that is yet to be written needs such a name."""
    text = os.path.abspath(path)
    if is_utf8(text):
        yield str(path)
        return
    folder_alone = is_utf8(path.name)
    number = os.open(path.parent if folder_alone else path, os.O_RDONLY)
    try:
        opened = f"/proc/{os.getpid()}/fd/{number}"  # visible to child processes too
        yield f"{opened}/{path.name}" if folder_alone else opened
    finally:
        os.close(number)


def is_utf8(text: str) -> bool:
    """Whether a name is UTF-8 on the disk: Python has other bytes as surrogates."""
    return not any(0xD800 <= ord(one) <= 0xDFFF for one in text)
