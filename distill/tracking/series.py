"""The run's own record of its numbers: one JSON line for each report, in ``series.jsonl`` of the run folder.

Pass and fail are decided on this file, never on W&B. Rows are appended and flushed, so a killed run loses at most the
line that it was writing; a resumed run cuts off what the dead one wrote after its last checkpoint.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, SupportsFloat

from distill.errors import UserError
from distill.files.atomic import replacing

Series = dict[str, list[tuple[int, float]]]
"""Named curves: (optimiser step, value), in order of the steps."""


class Sink(Protocol):
    """Where named values of a step go."""

    def log(self, step: int, values: Mapping[str, float]) -> None: ...


class Recorder:
    """The one logging site: call it with a step and named numbers, and every sink gets them as floats.

    ``last`` is always the same dictionary: the newest value of each name.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.sinks = tuple(sinks)
        self.last: dict[str, float] = {}

    def __call__(self, step: int, values: Mapping[str, SupportsFloat]) -> None:
        plain = {name: float(value) for name, value in values.items()}
        self.last.update(plain)
        for sink in self.sinks:
            sink.log(step, plain)


class SeriesFile:
    """Appends rows to ``path``; a sink.

    ``resume_step`` is the step of the checkpoint that the run continues from: rows after it are dropped, so that the
    file ends like that of a run which was never interrupted. None starts afresh. Raises UserError where the file
    cannot be written.
    """

    def __init__(self, path: Path, resume_step: int | None = None) -> None:
        self.path = path
        rows = [] if resume_step is None or not path.exists() else _rows(path)
        kept = [row for row in rows if resume_step is not None and row["step"] <= resume_step]
        try:
            with replacing(path) as file:
                file.write("".join(map(_line, kept)).encode())
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise self._unwritable(error) from error

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One row. A number that is not finite is written as null: JSON knows no NaN."""
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        try:
            self._file.write(_line({"step": step, "values": finite}))
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        self._file.close()

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"{self.path}: cannot write the run's series ({error.strerror}); expected a writable run folder with free "
            "space. Mend that and give the same command again: it continues from the last checkpoint"
        )


def read_series(path: Path) -> Series:
    """The curves of a run; a torn last line is left out, and of two rows for one step the later one counts."""
    curves: dict[str, dict[int, float]] = defaultdict(dict)
    for row in _rows(path):
        for name, value in row["values"].items():
            curves[name][row["step"]] = math.nan if value is None else float(value)
    return {name: sorted(points.items()) for name, points in curves.items()}


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, allow_nan=False) + "\n"


def _rows(path: Path) -> list[dict[str, Any]]:
    """All complete rows. Raises UserError for damage anywhere except in the last line, which a kill may tear."""
    lines = path.read_bytes().split(b"\n")
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        row = _parsed(line)
        if row is not None:
            rows.append(row)
        elif any(lines[number:]):
            raise UserError(f"{path}: line {number} is {line[:40]!r}; expected a JSON row; delete that line")
    return rows


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The row that a line holds, or None where it holds none."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    if isinstance(row, dict) and isinstance(row.get("step"), int) and isinstance(row.get("values"), dict):
        return row
    return None
