"""A frozen benchmark set: pairs, whose they are where that is known, and the slices that are judged on their own.

Beside NAME.bin may lie NAME.tsv: tab-separated UTF-8, a first line that names the columns, then a line for each pair.
The columns ``left`` and ``right`` name the persons of the pair's images; every further column sorts the pairs into
groups, an empty cell into none. Image quality is one more such column, made of the pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distill.data.pairs import Pairs, read_pairs
from distill.data.people import person_name
from distill.data.text_table import TableLine
from distill.errors import UserError
from distill.files.foreign import refuse_foreign
from distill.files.hashing import sha256
from distill.files.kinds import EMPTY, TEXTS
from distill.judge.judgement import ALL
from distill.metrics.paired import Persons
from distill.metrics.roc import Bools

PERSONS = ["left", "right"]
SHARPNESS = "sharpness"
THIRDS = np.array(["low", "middle", "high"])
MOST_GROUPS = 50
"""Values of one column: a column with more of them names persons or files, not groups."""


@dataclass(frozen=True, eq=False)
class Benchmark:
    """What is known of a set's pairs besides their images.

    ``columns`` give every pair [p] its group, "" for none; ``persons`` [p 2] number both sides. ``sha256`` is that of
    both files.
    """

    name: str
    same: Bools
    columns: Mapping[str, NDArray[np.str_]]
    persons: Persons | None
    sha256: str

    def slices(self, least: int) -> dict[str, Bools]:
        """The set itself and every group, by name; groups of fewer than ``least`` pairs are joined as well.

        What is too small to be judged is in the joined slice of its column, so that it counts somewhere besides the
        average over all.
        """
        found = {ALL: np.ones(len(self.same), bool)}
        for column, values in self.columns.items():
            groups = {value: values == value for value in sorted(set(values.tolist()) - {""})}
            found |= {f"{column}={value}": members for value, members in groups.items()}
            small = [value for value, members in groups.items() if members.sum() < least]
            if len(small) > 1:
                found[f"{column}: {len(small)} small groups"] = np.isin(values, small)
        return found


def read_benchmark(path: Path) -> tuple[Benchmark, Pairs]:
    """The set in ``path`` (.bin) with what lies beside it; ``UserError`` names file and line of what does not fit."""
    pairs = read_pairs(path)
    return benchmark_of(path, pairs), pairs


def benchmark_of(path: Path, pairs: Pairs) -> Benchmark:
    """The set that was read from ``path``; pairs that were left out have no persons and groups beside the others'."""
    beside = path.with_suffix(".tsv")
    columns = {SHARPNESS: _quality(pairs)}
    if not beside.is_file() or pairs.left_out:
        return Benchmark(pairs.name, pairs.same, columns, None, sha256(path))
    persons, groups = read_sidecar(beside, pairs.same)
    both = hashlib.sha256(f"{sha256(path)} {sha256(beside)}".encode()).hexdigest()
    return Benchmark(pairs.name, pairs.same, columns | groups, persons, both)


def read_sidecar(path: Path, same: Bools) -> tuple[Persons, dict[str, NDArray[np.str_]]]:
    """Numbers of the persons [p 2], and the groups [p] in each further column, of pairs with verdicts ``same`` [p]."""
    lines = _lines(path)
    header = next(lines, TableLine(path, 1, []))
    _require_header(header)
    rows = []
    for pair, line in enumerate(lines):
        if pair == len(same):
            raise line.wrong(f"is one too many; expected a line for each of {len(same)} pairs")
        _require_row(line, header.words, bool(same[pair]))
        rows.append(line.words)
    if len(rows) < len(same):
        raise UserError(f"{path}, line {len(rows) + 2}: is missing; expected a line for each of {len(same)} pairs")
    table = np.array(rows)
    _, persons = np.unique(table[:, :2], return_inverse=True)
    groups = {name: table[:, column] for column, name in enumerate(header.words) if column >= len(PERSONS)}
    for name, values in groups.items():
        if (count := len(set(values.tolist()) - {""})) > MOST_GROUPS:
            raise header.wrong(f"column {name} has {count} groups; expected at most {MOST_GROUPS}")
    return persons.reshape(-1, 2), groups


def _quality(pairs: Pairs) -> NDArray[np.str_]:
    """The third that the less sharp image of each pair falls into [p]."""
    return THIRDS[thirds(sharpness(pairs.images.numpy()).reshape(-1, 2).min(axis=1))]


def _lines(path: Path) -> Iterator[TableLine]:
    """The file's lines as words; the last one may lack its end."""
    refuse_foreign(path, "a text, fields separated by tabs", *TEXTS, EMPTY)
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    for number, raw in enumerate(content.removesuffix(b"\n").split(b"\n") if content else [], 1):
        try:
            text = person_name(raw.decode().removesuffix("\r"))
        except UnicodeDecodeError:
            raise UserError(f"{path}, line {number}: is no UTF-8; expected text, fields separated by tabs") from None
        line = TableLine(path, number, text.split("\t"))
        if strange := [word for word in line.words if not word.isprintable()]:
            raise line.wrong(f"has {strange[0]!r}; expected printable text")
        yield line


def _require_header(header: TableLine) -> None:
    names: Sequence[str] = header.words
    if list(names[:2]) != PERSONS:
        raise header.wrong(f"begins with {list(names[:2])}; expected columns left, right and then any groups, by tabs")
    for place, name in enumerate(names):
        if not name or name in names[:place] or name == SHARPNESS:
            raise header.wrong(f"has a column {name!r}; expected other names than {SHARPNESS}, each once")


def _require_row(line: TableLine, names: Sequence[str], same: bool) -> None:
    if len(line.words) != len(names):
        raise line.wrong(f"has {len(line.words)} fields; expected {len(names)}: {', '.join(names)}")
    left, right = line.words[:2]
    if not left or not right:
        raise line.wrong(f"has the persons {left!r} and {right!r}; expected a name for each")
    if (left == right) != same:
        kind = "genuine" if same else "impostor"
        raise line.wrong(f"has the persons {left!r} and {right!r} for a pair that its .bin calls {kind}")


LUMA = np.array([0.299, 0.587, 0.114])
BATCH = 128  # images in one piece: 50 MB in float64


def sharpness(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Variance of the Laplacian of RGB crops [n 3 h w], 3 or more pixels high and wide, for each: [n]."""
    parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    return np.concatenate([_laplacian(part).var(axis=(1, 2)) for part in parts])


def thirds(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """0, 1 or 2 for the lowest, middle and highest third of values [p]; equal values fall into the same third."""
    return np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values, side="left")


def _laplacian(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Four neighbours less four times the pixel, inside of the border: [b h-2 w-2]."""
    luma = np.tensordot(LUMA, images, axes=(0, 1))
    inside = luma[:, 1:-1, 1:-1]
    return luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:] - 4 * inside
