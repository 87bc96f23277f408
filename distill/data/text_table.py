"""Text files with a record on every line, words or comma-separated; errors name file and line."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from distill.errors import UserError
from distill.files.foreign import refuse_foreign
from distill.files.kinds import EMPTY, TEXTS


class TableLine(NamedTuple):
    """A line's words, with file and line number for messages."""

    path: Path
    number: int
    words: Sequence[str]

    def wrong(self, what: str) -> UserError:
        return UserError(f"{self.path}, line {self.number}: {what}")

    def whole(self, column: int) -> int:
        """The whole number in a column, of at most 63 bits."""
        try:
            value = int(self.words[column])
        except ValueError:
            raise self.wrong(f"has {self.words[column]!r}; expected an integer") from None
        if value.bit_length() > 63:
            raise self.wrong(f"has {value}; expected an integer of at most 63 bits")
        return value

    def real(self, column: int) -> float:
        """The finite number in a column."""
        try:
            value = float(self.words[column])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.wrong(f"has {self.words[column]!r}; expected a number")
        return value


def lines_of(path: Path, fields: int, expected: str) -> Iterator[TableLine]:
    """The lines of a file, each of ``fields`` words; ``expected`` describes one for messages."""
    refuse_foreign(path, f"a text of lines {expected}", *TEXTS, EMPTY)
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        yield from parsed(path, 1, file, fields, expected)


def parsed(path: Path, first: int, lines: Iterable[str], fields: int, expected: str) -> Iterator[TableLine]:
    """Some lines of a file, from line number ``first`` on; empty ones are skipped."""
    for number, text in enumerate(lines, first):
        line = TableLine(path, number, text.split())
        if line.words and len(line.words) != fields:
            raise line.wrong(f"has {len(line.words)} fields; expected {fields}: {expected}")
        if line.words:
            yield line


def columns_of(path: Path, columns: Sequence[str]) -> Iterator[TableLine]:
    """The lines of a CSV file below its first, which names the columns; words are those of ``columns`` only."""
    refuse_foreign(path, f"a CSV file with the columns {', '.join(columns)}", *TEXTS, EMPTY)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file)
        header = [name.strip() for name in next(rows, [])]
        absent = [name for name in columns if name not in header]
        if absent:
            raise UserError(f"{path}, line 1: names no column {absent[0]}; expected {', '.join(columns)} among others")
        places = [header.index(name) for name in columns]
        for words in rows:
            line = TableLine(path, rows.line_num, words)
            if words and len(words) != len(header):
                raise line.wrong(f"has {len(words)} fields; expected {len(header)}, as in the first line")
            if words:
                yield line._replace(words=[words[place] for place in places])
