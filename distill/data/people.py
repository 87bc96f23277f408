"""The folder layout of training sets and drops: ``root/PERSON/*.jpg``, and folders below a person's.

Lists the pictures, their people, and by kind the files that are not read. One reader, so that one layout means one
thing.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from distill.errors import UserError
from distill.shown import shown

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff")
"""Of files that are taken for pictures, in lower case; the format is that of the first bytes."""
_SYSTEM = ("thumbs.db", "desktop.ini", "@eadir", "__macosx")
"""Files that file managers and storage devices put beside pictures, in lower case."""
_BESIDE = (".bin", ".tsv")
"""Verification sets beside the people, which are read elsewhere."""
_HIDDEN, _PLAIN, _LINK, _LOOSE = "hidden", "without an ending", "links to folders", "outside the folders of people"
_SPECIAL = "broken links or devices"
_TOLD_KINDS = 8

RefuseLink = Callable[[os.DirEntry[str]], None]


def person_name(folder: str) -> str:
    """A person by the name of a folder or a label: Unicode has two spellings of one name, and both mean one person.

    Linux keeps NFC, a Mac may hand on NFD. Bytes that are no UTF-8 (surrogates here) stay as they are.
    """
    return unicodedata.normalize("NFC", folder)


def as_on_disk(root: Path, entry: str) -> Path:
    """The path of an entry below ``root``; if it does not exist, in the other Unicode normalisation if that does."""
    path = root / entry
    if entry.isascii() or os.path.lexists(path):
        return path
    spelt = root
    # part by part: a path may mix both normalisations
    for part in entry.split("/"):
        forms = (part, unicodedata.normalize("NFC", part), unicodedata.normalize("NFD", part))
        spelt /= next((form for form in forms if os.path.lexists(spelt / form)), part)
    return spelt if os.path.lexists(spelt) else path


def is_picture(name: str) -> bool:
    """Whether a file is taken for a picture, by its name."""
    return name.lower().endswith(SUFFIXES) and not _is_hidden(name)


@dataclass(frozen=True)
class Unread:
    """Content of a folder of people besides pictures: files by kind, and folders without a picture by name."""

    kinds: Counter[str] = field(default_factory=Counter)
    empty: list[str] = field(default_factory=list)

    def words(self) -> str:
        """For the end of a sentence; empty where there is nothing."""
        parts = []
        if self.kinds:
            listed = [f"{count:,} {kind}" for kind, count in self.kinds.most_common(_TOLD_KINDS)]
            if (rest := len(self.kinds) - _TOLD_KINDS) > 0:
                listed.append(f"{rest:,} other kinds")
            parts.append(f"; {plural(self.kinds.total(), 'file')} not read: {', '.join(listed)}")
        if self.empty:
            others = f" and {len(self.empty) - 1:,} more" if len(self.empty) > 1 else ""
            parts.append(f"; {plural(len(self.empty), 'folder')} without an image: {self.empty[0]}{others}")
        return shown("".join(parts))


class FoundPicture(NamedTuple):
    """One picture: its person, its path below the root, and its stamp."""

    person: str
    path: str
    size: int
    stamp: int


@dataclass(frozen=True)
class PeopleFolder:
    """The pictures below a root, sorted by person and path, and what is not read."""

    pictures: Sequence[FoundPicture]
    unread: Unread

    def words(self) -> str:
        """Number of images and people, and the files that are not read."""
        people = len({found.person for found in self.pictures})
        return f"{plural(len(self.pictures), 'image')} of {plural(people, 'person', 'people')}{self.unread.words()}"


def read_people(root: Path, refuse_link: RefuseLink) -> PeopleFolder:
    """All pictures below ``root``; ``refuse_link`` raises for a link that may not be followed.

    A picture belongs to the folder right below the root, however deep it lies. Links are followed to files, and from
    the root to the folder of a person. ``UserError`` where no person's folder holds a picture itself, but folders
    within hold some: then the root is most likely one level too high.
    """
    unread, found, direct = Unread(), [], False
    for entry in _sorted(root):
        if entry.name.lower().endswith(_BESIDE) or not _is_folder(entry, unread, _LOOSE):
            continue
        if entry.is_symlink():
            refuse_link(entry)
            # a link to the root or above it: following it would never end
            if Path(os.path.realpath(root)).is_relative_to(os.path.realpath(entry.path)):
                unread.kinds[_LINK] += 1
                continue
        below = [
            FoundPicture(person_name(entry.name), *one)
            for one in _pictures(Path(entry.path), entry.name, refuse_link, unread)
        ]
        if not below:
            unread.empty.append(entry.name)
        direct |= any(one.path.count("/") == 1 for one in below)
        found += below
    if found and not direct:
        first = found[0].path
        raise UserError(
            f"{root}: no folder in it holds an image itself, only folders within do, such as {first}; expected "
            f"{root}/PERSON/*.jpg: is {root}/{first.split('/')[0]} meant, or are the images to be moved up?"
        )
    return PeopleFolder(sorted(found), unread)


def stamp(*files: os.stat_result) -> int:
    """A number, not 0, that changes with size, modification time or change time of any of the files."""
    state = " ".join(f"{f.st_size} {f.st_mtime_ns} {f.st_ctime_ns}" for f in files)
    return int.from_bytes(hashlib.blake2b(state.encode(), digest_size=8).digest(), "little") >> 1 or 1


def plural(count: int, one: str, several: str | None = None) -> str:
    """A number with its noun."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def _pictures(folder: Path, place: str, refuse_link: RefuseLink, unread: Unread) -> Iterator[tuple[str, int, int]]:
    """Path below the root, size and stamp of every picture in a folder and in those below it."""
    for entry in _sorted(folder):
        inside = f"{place}/{entry.name}"
        if is_picture(entry.name) and not entry.is_dir():
            if entry.is_symlink():
                refuse_link(entry)
            if entry.is_file():
                state = entry.stat()
                yield inside, state.st_size, stamp(state)
            else:
                unread.kinds[_SPECIAL] += 1
        elif not _is_folder(entry, unread):
            continue
        elif entry.is_symlink():
            unread.kinds[_LINK] += 1
        else:
            yield from _pictures(Path(entry.path), inside, refuse_link, unread)


def _is_folder(entry: os.DirEntry[str], unread: Unread, pictures: str | None = None) -> bool:
    """Whether it is a folder to read; other entries and hidden folders are counted by kind."""
    if _is_hidden(entry.name):
        unread.kinds[_HIDDEN] += 1
    elif entry.is_dir():
        return True
    elif pictures and is_picture(entry.name):
        unread.kinds[pictures] += 1
    else:
        unread.kinds[os.path.splitext(entry.name)[1].lower() or _PLAIN] += 1
    return False


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM


def _sorted(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; expected a folder that can be read") from error
