"""The list that a feature file follows: one image or one video a line, and one label a line where people are known."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from distill.data.inside import Inside
from distill.data.people import as_on_disk, is_picture, person_name
from distill.errors import UserError
from distill.files.foreign import refuse_foreign
from distill.files.kinds import EMPTY, TEXTS
from distill.files.utf8_path import is_utf8
from distill.shown import shown
from distill.types import UNLABELLED

Kind = Literal["image", "video"]

DISTRACTOR = "-"
"""The label of a distractor: a face of a person with no other face in the list."""

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
_PROGRESS_LINES = 256
_BOM = b"\xef\xbb\xbf"


class Lines:
    """The lines of a text file by number from 0, kept as its bytes and not as an object for each line.

    White space around a line is dropped, and empty lines at the end of the file. ``sha256`` is that of the file.
    Names of files are bytes: those of a line that are not UTF-8 stay as they are, as surrogates. Raises ``UserError``
    for a file that is missing, empty or no text, and for a line that is empty.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        try:
            self._text = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; expected a text file with {what} on each line") from error
        refuse_foreign(path, f"a text file with {what} on each line", *TEXTS, EMPTY)
        self.sha256 = hashlib.sha256(self._text).hexdigest()
        self._text = self._text.removeprefix(_BOM).rstrip()
        if not self._text:
            raise UserError(f"{path}: is empty; expected {what} on each line")
        # offsets of all line ends at once; str objects for all lines would take several times as much
        breaks = np.flatnonzero(np.frombuffer(self._text, np.uint8) == ord("\n"))
        self._begins = np.concatenate([[0], breaks + 1])
        self._ends = np.concatenate([breaks, [len(self._text)]])
        for number, line in enumerate(self):
            if not line:
                raise UserError(f"{self.place(number)}: is empty; expected {what}")

    def __len__(self) -> int:
        return len(self._begins)

    def __getitem__(self, number: int) -> str:
        return self._text[self._begins[number] : self._ends[number]].decode(errors="surrogateescape").strip()

    def __iter__(self) -> Iterator[str]:
        return (self[number] for number in range(len(self)))

    def place(self, number: int) -> str:
        """File and line for a message; people count from 1."""
        return f"{self.path}, line {number + 1}"


@dataclass(frozen=True)
class FaceList:
    """Images or videos below ``root`` in the order of the rows; every file exists.

    An image is a whole line; of a line with a video its first word: a folder of frames, or a video file.
    """

    lines: Lines
    root: Path
    kind: Kind

    def __len__(self) -> int:
        return len(self.lines)

    def entry(self, row: int) -> str:
        """The path of a row as the list has it."""
        return self.lines[row] if self.kind == "image" else self.lines[row].split(maxsplit=1)[0]

    def path(self, row: int) -> Path:
        """The path of a row's face; a name may be in either Unicode normalisation."""
        return as_on_disk(self.root, self.entry(row))

    def place(self, row: int) -> str:
        """File, line and entry for a message."""
        return f"{self.lines.place(row)}: {self.path(row)}"


def read_lines(path: Path, kind: Kind) -> Lines:
    """The lines of a list."""
    return Lines(path, f"the path of {_A[kind]}")


def find_faces(
    lines: Lines, root: Path, kind: Kind, progress: Callable[[int], None] | None = None, links: bool = False
) -> FaceList:
    """Check every entry of a list below ``root``, without opening any.

    ``UserError`` names the first line with an entry that is absolute or leaves ``root`` by ``..``, is missing, is of
    the wrong kind, is a folder without frames, or is a duplicate; and the number of such lines. Symbolic links are
    followed below ``root``; with ``links`` also out of it. ``progress`` is called every 256 lines.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; expected the one that the paths in {lines.path} start from")
    faces = FaceList(lines, root, kind)
    digests = np.empty(len(faces), np.uint64)
    wrong = np.zeros(len(faces), bool)
    check = _EntryCheck(root, kind, None if links else Inside(root))
    for row in range(len(faces)):
        entry = faces.entry(row)
        digests[row] = _digest(entry)
        wrong[row] = check.problem(entry) is not None
        if progress is not None and (row + 1) % _PROGRESS_LINES == 0:
            progress(_PROGRESS_LINES)
    # 8 bytes per entry instead of a set of millions of strings
    earlier = _earlier(faces, digests)
    wrong |= earlier >= 0
    if wrong.any():
        row = int(np.argmax(wrong))
        problem = check.problem(faces.entry(row)) or (
            f"{faces.entry(row)} stands in line {earlier[row] + 1} already; expected every line once"
        )
        others = f" ({wrong.sum():,} of {len(faces):,} lines are wrong)" if wrong.sum() > 1 else ""
        raise UserError(f"{lines.place(row)}: {problem}{others}")
    return faces


def read_labels(path: Path, faces: FaceList) -> NDArray[np.int64]:
    """The person [n] of each row, numbered by first appearance from 0; ``UNLABELLED`` for a distractor (``-``).

    ``UserError`` if there are not as many labels as lines in the list.
    """
    return _people(path, len(faces), f"{faces.lines.path} {len(faces):,} lines", {DISTRACTOR: UNLABELLED})


def read_people(files: Sequence[tuple[Path, int]]) -> list[NDArray[np.int64]]:
    """The same for label files of several feature files; equal labels are one person in all of them."""
    numbers = {DISTRACTOR: UNLABELLED}
    return [_people(path, rows, f"its features {rows:,} rows", numbers) for path, rows in files]


def _people(path: Path, rows: int, owner: str, numbers: dict[str, int]) -> NDArray[np.int64]:
    """The person of each of ``rows`` lines; new people are added to ``numbers``."""
    lines = Lines(path, f"a label, or {DISTRACTOR} for a distractor,")
    if len(lines) != rows:
        raise UserError(
            f"{path}: has {len(lines):,} labels, and {owner}; expected one for each: "
            f"line {min(len(lines), rows) + 1:,} stands alone"
        )
    return np.array([numbers.setdefault(person_name(label), len(numbers) - 1) for label in lines], np.int64)


_A = {"image": "an image", "video": "a video"}


@dataclass(frozen=True)
class _EntryCheck:
    """Checks entries of a list without opening them; ``inside`` None lets links lead anywhere."""

    root: Path
    kind: Kind
    inside: Inside | None

    def problem(self, entry: str) -> str | None:
        """What is wrong with an entry."""
        if "\0" in entry or entry.startswith("/") or ".." in entry.split("/"):
            return f"'{shown(entry)}' leaves the root; expected a path below {self.root}, without '..'"
        path = as_on_disk(self.root, entry)
        try:
            return self._leads_out(path) or (self._of_folder(path) if path.is_dir() else self._of_file(path))
        except OSError as error:
            return f"{path}: {error.strerror}; expected {_A[self.kind]} that can be read"

    def _leads_out(self, path: Path) -> str | None:
        if self.inside is None or path in self.inside:
            return None
        return (
            f"{path}: is behind a link that leaves the root; expected it below {self.root}, or links=true "
            "(make evaluate: data.links=true)"
        )

    def _of_file(self, path: Path) -> str | None:
        if not path.is_file():
            hint = "" if is_utf8(str(path)) else " (the line is not UTF-8; does the list have another encoding?)"
            return f"{shown(path)}: no such file; expected {_A[self.kind]}{hint}"
        if self.kind == "video" and path.suffix.lower() not in VIDEO_SUFFIXES:
            return (
                f"{path}: is no video; expected a folder of frames, or a file that ends in {', '.join(VIDEO_SUFFIXES)}"
            )
        return None

    def _of_folder(self, path: Path) -> str | None:
        if self.kind == "image":
            return f"{path}: is a folder; expected an image (kind=video takes folders of frames)"
        with os.scandir(path) as entries:
            frames = [Path(entry.path) if entry.is_symlink() else None for entry in entries if is_frame(entry.name)]
        if not frames:
            return f"{path}: is an empty video; expected at least one frame *.jpg"
        return next((out for frame in frames if frame is not None and (out := self._leads_out(frame))), None)


def is_frame(name: str) -> bool:
    """Whether a file in the folder of a video is one of its frames."""
    return is_picture(name)


def _digest(entry: str) -> int:
    """64-bit digest of a normalised path."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(posixpath.normpath(entry)), digest_size=8).digest(), "little")


def _earlier(faces: FaceList, digests: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The earlier row [n] with the same entry, -1 for none; equal digests are confirmed by comparing the paths."""
    earlier = np.full(len(faces), -1)
    order = np.argsort(digests, kind="stable")
    # the sort is stable: of equal digests the earlier row comes first
    for place in np.flatnonzero(digests[order[1:]] == digests[order[:-1]]).tolist():
        before, row = order[place], order[place + 1]
        if posixpath.normpath(faces.entry(before)) == posixpath.normpath(faces.entry(row)):
            earlier[row] = before
    return earlier
