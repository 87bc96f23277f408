"""Names as people are shown them: a file's name is bytes, and not all bytes are text.

Python hands out a byte of a name that is no UTF-8 as a lone surrogate, which no page, terminal or service takes. What
is shown has it escaped (``faces_M\\xfcller``), and so whatever else cannot be printed, such as what a terminal obeys.
What is read back as a path stays as it is.
"""

from __future__ import annotations

import codecs
import io
import logging
import sys
from collections.abc import Mapping
from typing import Any

ERRORS = "shown"
"""Name of the error handler for text that a stream cannot encode: escaped as ``shown`` does it."""
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF
"""The surrogates that stand for the bytes from 0x80 on (PEP 383)."""


def shown(value: object) -> str:
    """Text, or a path, in one line that can be printed."""
    return "".join(one if one.isprintable() else _escaped(one) for one in str(value))


def shown_all(tree: Any) -> Any:
    """The same tree of mappings, lists and values, every text in it shown."""
    if isinstance(tree, Mapping):
        return {shown_all(key): shown_all(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(shown_all(value) for value in tree)
    return shown(tree) if type(tree) is str else tree


def _escaped(character: str) -> str:
    code = ord(character)
    if _FIRST_BYTE <= code <= _LAST_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def _encode(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_escaped(one) for one in error.object[error.start : error.end]), error.end


codecs.register_error(ERRORS, _encode)


def print_anything() -> None:
    """From now on standard output and standard error take every text, whatever their encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)


class ShownFormatter(logging.Formatter):
    """A message as one line that can be printed, and nothing else."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return shown(record.message)
