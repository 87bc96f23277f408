"""How often Python code reads a file: counted by the interpreter's own audit events, whoever opens it."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

_FIRST_BYTES = "kind_of"
"""The function that looks at the first bytes of a file alone."""
_counting: list[Counter[Path]] = []


@contextmanager
def counting() -> Iterator[Counter[Path]]:
    """Reads by real path, from the first byte to the last, of this process and within the block.

    Libraries that open files in C++ are not seen: onnxruntime, the checker of ONNX, safetensors.
    """
    found: Counter[Path] = Counter()
    _counting.append(found)
    try:
        yield found
    finally:
        _counting.remove(found)


def _audit(event: str, told: tuple[Any, ...]) -> None:
    if event == "open" and _counting and isinstance(told[0], str | bytes) and _reads(*told[1:]):
        if _FIRST_BYTES not in _callers():
            for counter in _counting:
                counter[Path(os.path.realpath(os.fsdecode(told[0])))] += 1


def _reads(mode: str | None, flags: int) -> bool:
    """``open`` names a mode, ``os.open`` flags alone."""
    return mode == "r" or mode == "rb" if mode is not None else flags & os.O_ACCMODE == os.O_RDONLY


def _callers() -> Iterator[str]:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        yield frame.f_code.co_name
        frame = frame.f_back


sys.addaudithook(_audit)  # there is no way to take one off: it is idle where nobody counts
