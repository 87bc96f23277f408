"""How often Python code reads each file from its first byte to its last, and how often onnxruntime opens it."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import onnxruntime as ort

HEADS = "kind_of"
"""The function that looks at the first bytes of a file alone."""


@dataclass
class FileReads:
    """By real path: ``reads`` of Python code (to hash, to parse, to copy) and ``sessions`` of onnxruntime."""

    reads: Counter[Path] = field(default_factory=Counter)
    sessions: Counter[Path] = field(default_factory=Counter)
    where: dict[Path, list[str]] = field(default_factory=dict)

    def of(self, suffix: str) -> dict[Path, int]:
        return {path: count for path, count in self.reads.items() if path.suffix == suffix}


_counting: list[FileReads] = []


def _hook(event: str, told: tuple[Any, ...]) -> None:
    """Audit hooks cannot be taken away, so one hook serves every count."""
    if event != "open" or not _counting or not isinstance(told[0], str | bytes) or not _is_read(told):
        return
    names = list(_names())
    if HEADS not in names:
        path = Path(os.path.realpath(os.fsdecode(told[0])))
        for one in _counting:
            one.reads[path] += 1
            one.where.setdefault(path, []).append(" < ".join(names[:8]))


def _is_read(told: tuple[Any, ...]) -> bool:
    mode, flags = told[1:]
    return mode.startswith("r") and "+" not in mode if isinstance(mode, str) else not flags & (os.O_WRONLY | os.O_RDWR)


def _names() -> Iterator[str]:
    frame = sys._getframe(2)
    while frame is not None:
        yield frame.f_code.co_name
        frame = frame.f_back


sys.addaudithook(_hook)


@contextmanager
def counting() -> Iterator[FileReads]:
    """Count within the block, in this process."""
    found = FileReads()
    session = ort.InferenceSession

    def opened(source: Any, *more: Any, **named: Any) -> ort.InferenceSession:
        if not isinstance(source, bytes):
            found.sessions[Path(os.path.realpath(source))] += 1
        return session(source, *more, **named)

    _counting.append(found)
    try:
        with patch.object(ort, "InferenceSession", opened):
            yield found
    finally:
        _counting.remove(found)
