"""A drop: pictures that somebody put down in a folder, either one folder a person or InsightFace's RecordIO.

Whoever fills a drop may be careless or worse: no name in it leads out of it, and nothing in it is run.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from distill.data.faceset import DamagedImage
from distill.data.people import plural, read_people, stamp
from distill.data.recordio import FILES, RECORDS, RecordIOSet
from distill.errors import UserError

Kind = Literal["folder", "recordio"]
_RECORD = f"{FILES[0]} key "
MOST_BYTES = 1 << 20
"""Of a picture: 28 times a crop without any compression."""


@dataclass(frozen=True, eq=False)
class Listing:
    """What a drop holds: names within it, in order, each with its person and a stamp.

    ``stamps`` int64 [n] change whenever the file system reports that a file may have changed. A person is a folder's
    name, the same in every drop, or a class of one RecordIO drop, whose numbers mean nothing elsewhere. ``summary``
    counts images and people, and names what is not read.
    """

    kind: Kind
    names: list[str]
    people: list[str]
    stamps: np.ndarray
    summary: str = ""


class Pictures(ABC):
    """Reads the pictures of one drop by the names of its listing. Can be sent to another process."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The encoded image; raises ``DamagedImage`` where it is not there or cannot be read."""


class FolderPictures(Pictures):
    """``root/PERSON/FILE``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> bytes:
        try:
            with (self._root / name).open("rb") as file:
                encoded = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise DamagedImage(f"cannot be read ({error.strerror})") from error
        if len(encoded) > MOST_BYTES:
            raise DamagedImage(f"has more than {MOST_BYTES} bytes; expected an aligned crop")
        return encoded


class RecordPictures(Pictures):
    """The records of ``root/train.rec``, by their keys."""

    def __init__(self, root: Path) -> None:
        self._faces = RecordIOSet(root)
        self._order = np.argsort(self._faces.keys)
        self._sorted = self._faces.keys[self._order]

    def read(self, name: str) -> bytes:
        key = int(name.removeprefix(_RECORD))
        at = int(np.searchsorted(self._sorted, key))
        if at == len(self._sorted) or self._sorted[at] != key:
            raise DamagedImage("is no longer in the index")
        return self._faces.read(int(self._order[at]))


def pictures_of(root: Path, kind: Kind) -> Pictures:
    """The pictures of the drop in folder ``root``."""
    return FolderPictures(root) if kind == "folder" else RecordPictures(root)


def drop_names(root: Path) -> list[str]:
    """The folders below ``root``, sorted, except those whose name begins with a dot: they are still being copied.

    A link to another drop is passed over, and one that leads out of ``root`` refused.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; expected one with a folder for each drop: set drops=DIR")
    with os.scandir(root) as entries:
        there = sorted((e for e in entries if not e.name.startswith(".") and e.is_dir()), key=lambda e: e.name)
    for entry in there:
        _require_inside(entry, root)
        if not entry.name.isprintable():  # it will stand in logs, reports and names of folders
            raise UserError(f"{root}: holds the drop {entry.name!r}; expected a name that can be printed: rename it")
    return [entry.name for entry in there if not entry.is_symlink()]


def list_drop(root: Path) -> Listing | None:
    """What the drop in folder ``root`` holds; None where that is nothing.

    Raises ``UserError`` for an incomplete RecordIO folder, and for a link that leads out of the drop.
    """
    if any(os.path.lexists(root / name) for name in FILES):
        return _list_records(root)
    found = read_people(root, lambda entry: _require_inside(entry, root))
    if not found.pictures:
        return None
    people, names, _, stamps = zip(*found.pictures, strict=True)
    return Listing("folder", list(names), list(people), np.array(stamps, np.int64), found.words())


def namespace(person: str) -> str:
    """Where a person's name means something: the RecordIO drop whose number it is, or "" for names of folders."""
    return person.rpartition("/")[0]


def record_stamp(root: Path) -> int:
    """The stamp of every record of a RecordIO drop; 0, which is no stamp, where its records are not there."""
    try:
        return stamp(*((root / name).stat() for name in FILES if name == RECORDS or (root / name).exists()))
    except OSError:
        return 0


def _list_records(root: Path) -> Listing:
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.name in FILES:
                _require_inside(entry, root)
    stamped, faces = record_stamp(root), RecordIOSet(root)
    names = [f"{_RECORD}{key}" for key in faces.keys.tolist()]
    people = [f"{root.name}/{label}" for label in faces.labels.tolist()]
    summary = f"{plural(len(names), 'image')} of {plural(len(set(people)), 'person', 'people')}"
    return Listing("recordio", names, people, np.full(len(names), stamped, np.int64), summary)


def _require_inside(entry: os.DirEntry[str], root: Path) -> None:
    """``UserError`` for a link whose end is not below ``root``."""
    if not entry.is_symlink():
        return
    end = Path(os.path.realpath(entry.path))
    if not end.is_relative_to(os.path.realpath(root)):
        raise UserError(f"{entry.path}: is a link to {end}, out of {root}; expected pictures that lie there: copy them")
