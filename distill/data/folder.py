"""A plain folder of people, ``root/PERSON/*.jpg``, each picture an aligned crop."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from distill.data.decode import RULE, check_crops
from distill.data.faceset import DamagedImage, bytes_digest
from distill.data.inside import Inside
from distill.data.people import RefuseLink, read_people
from distill.errors import UserError
from distill.files.contents import contents_sha256
from distill.types import CROP_PX


class ImageFolderSet:
    """Each folder that holds images is a person, numbered by the sorted names; ``summary`` sums up what was read.

    Paths are kept as one array of bytes and sizes as numbers, not as an object for each file. A link that leaves
    ``root`` is refused, unless ``links`` permits it.
    """

    def __init__(self, root: str | Path, links: bool = False) -> None:
        self._root = Path(root)
        if not self._root.is_dir():
            raise UserError(f"{root}: no such folder; expected {root}/PERSON/*.jpg: set data.root=FOLDER")
        found = read_people(self._root, _follow if links else _inside(self._root))
        if not found.pictures:
            raise UserError(
                f"{root}: holds no images{found.unread.words()}; expected PERSON/*.jpg, {CROP_PX}x{CROP_PX}"
            )
        self._people = sorted({one.person for one in found.pictures})
        number = {person: label for label, person in enumerate(self._people)}
        self.classes = len(self._people)
        self.labels = np.array([number[one.person] for one in found.pictures], np.int64)
        # one array of fixed width: millions of Path objects would take gigabytes, once more in every worker
        self._files = np.array([os.fsencode(one.path) for one in found.pictures])
        self._sizes = np.array([one.size for one in found.pictures], np.int64)
        self.summary = found.words()
        self._fingerprint: str | None = None
        check_crops(self)

    def __len__(self) -> int:
        return len(self._files)

    def people(self) -> list[str]:
        return self._people

    def _path(self, index: int) -> Path:
        return self._root / os.fsdecode(bytes(self._files[index]))

    def read(self, index: int) -> bytes:
        try:
            return self._path(index).read_bytes()
        except OSError as error:
            raise DamagedImage(f"cannot be read ({error.strerror})") from error

    def name(self, index: int) -> str:
        return str(self._path(index))

    def digest(self, index: int, encoded: bytes) -> int:
        return bytes_digest(encoded)

    def fingerprint(self) -> str:
        """Hex sha256 of names, labels and the contents of all images, and of the rule by which they are decoded."""
        if self._fingerprint is None:
            digest = hashlib.sha256("\n".join([f"rule {RULE}", *self._people]).encode(errors="surrogateescape"))
            # names and labels too: the same pictures of other people are another set
            for array in (self._files, self._sizes, self.labels):
                digest.update(array.tobytes())
            digest.update(contents_sha256(lambda: map(self._path, range(len(self))), str(self._root)).encode())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint


def _follow(entry: os.DirEntry[str]) -> None:
    """Any link is followed."""


def _inside(root: Path) -> RefuseLink:
    """Refuses links that lead out of ``root``."""
    inside = Inside(root)

    def refuse(entry: os.DirEntry[str]) -> None:
        if Path(entry.path) not in inside:
            raise UserError(
                f"{entry.path}: is a link that leaves {inside.root}; expected faces there, or data.reader.links=true"
            )

    return refuse
