"""A plain folder of people: ``root/identity/*.jpg|jpeg|png``, each an aligned crop."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from distill.contents import contents_sha256
from distill.data.decode import RULE, check_crops
from distill.data.faceset import DamagedImage, bytes_digest
from distill.data.inside import Inside
from distill.types import CROP_PX, UserError

SUFFIXES = (".jpg", ".jpeg", ".png")
"""Of files that are images, in lower case."""


class ImageFolderSet:
    """Each folder that holds images is a person, numbered by the sorted names; other files are passed over.

    Names are kept as one array of bytes and sizes as numbers, not as an object for each file. A link that leaves
    ``root`` is refused, unless ``links`` permits it.
    """

    def __init__(self, root: str | Path, links: bool = False) -> None:
        self._root = Path(root)
        if not self._root.is_dir():
            raise UserError(f"{root}: no such folder; expected {root}/IDENTITY/*.jpg: set data.root=FOLDER")
        inside = None if links else Inside(self._root)
        people = [(person, _images(self._root / person, inside)) for person in _folders(self._root)]
        people = [(person, files) for person, files in people if files]
        if not people:
            raise UserError(f"{root}: holds no images; expected IDENTITY/*{'|*'.join(SUFFIXES)}, {CROP_PX}x{CROP_PX}")
        self.classes = len(people)
        self.labels = np.repeat(np.arange(len(people)), [len(files) for _, files in people])
        self._people = [person for person, _ in people]
        self._files = np.array([os.fsencode(name) for _, files in people for name, _ in files])
        self._sizes = np.array([size for _, files in people for _, size in files], np.int64)
        self._fingerprint: str | None = None
        check_crops(self)

    def __len__(self) -> int:
        return len(self._files)

    def people(self) -> list[str]:
        return self._people

    def _path(self, index: int) -> Path:
        return self._root / self._people[self.labels[index]] / os.fsdecode(bytes(self._files[index]))

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
            for array in (self._files, self._sizes, self.labels):
                digest.update(array.tobytes())
            digest.update(contents_sha256(lambda: map(self._path, range(len(self))), str(self._root)).encode())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint


def _folders(root: Path) -> list[str]:
    with os.scandir(root) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def _images(folder: Path, inside: Inside | None) -> list[tuple[str, int]]:
    """Sorted (name, bytes) of the images in a folder, which none may lie outside of ``inside``."""
    with os.scandir(folder) as entries:
        wanted = [e for e in entries if e.name.lower().endswith(SUFFIXES) and not e.name.startswith(".")]
    if inside is not None:
        for path in (folder, *(Path(e.path) for e in wanted if e.is_symlink())):
            if path not in inside:
                raise UserError(
                    f"{path}: is a link that leaves {inside.root}; expected faces there, or data.reader.links=true"
                )
    return sorted((e.name, e.stat().st_size) for e in wanted if e.is_file())
