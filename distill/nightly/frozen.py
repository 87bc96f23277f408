"""The frozen data of a night as sets of faces: each drop by itself, whose signals are stored once, and all together."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from distill.data.decode import RULE
from distill.data.faceset import DamagedImage, Places, bytes_digest
from distill.errors import UserError
from distill.nightly.drop import pictures_of
from distill.nightly.manifest import DataManifest, FrozenPictures, read_manifest
from distill.nightly.vetting_result import Verdicts, read_verdicts
from distill.types import UNLABELLED


class FrozenDrop:
    """The pictures of one drop that are used, with the labels that the drop gives them.

    The set never changes, whatever later nights bring, so the signals of it stay good. A picture whose bytes are not
    those that were frozen counts as damaged.
    """

    def __init__(self, place: Path, frozen: FrozenPictures) -> None:
        self.drop, self.labels = frozen.drop, frozen.people
        self.classes = int(frozen.people.max()) + 1 if len(frozen) else 0
        self._place, self._names, self._sha256 = place / frozen.drop, frozen.names, frozen.sha256
        self._fingerprint = hashlib.sha256(f"{frozen.fingerprint()} rule {RULE}".encode()).hexdigest()
        self._pictures = pictures_of(self._place, frozen.kind)

    def __len__(self) -> int:
        return len(self._names)

    def read(self, index: int) -> bytes:
        encoded = self._pictures.read(self._names[index])
        if hashlib.sha256(encoded).digest() != self._sha256[index].tobytes():
            raise DamagedImage("is not the picture that was frozen (its sha256 is another)")
        return encoded

    def name(self, index: int) -> str:
        return str(self._place / self._names[index])

    def digest(self, index: int, encoded: bytes) -> int:
        return bytes_digest(encoded)

    def fingerprint(self) -> str:
        return self._fingerprint


class FrozenSet:
    """All pictures of a night's manifest, with the labels that vetting has left them.

    ``root`` is the folder of the night, with manifest and verdicts; ``drops`` is the folder of the drops, if it has
    moved since they were frozen.
    """

    def __init__(self, root: str | Path, drops: str | None = None) -> None:
        manifest = read_manifest(Path(root))
        verdicts = read_verdicts(Path(root), manifest)
        self.parts = parts_of(manifest, drops)
        if not self.parts:
            raise UserError(f"{root}: its manifest has no picture that can be used; expected drops with pictures")
        self.classes = len(manifest.people)
        self.labels = vetted_labels(manifest, verdicts)
        sizes = [len(part) for part in self.parts]
        rows = np.concatenate([np.arange(size) for size in sizes])
        self.places = Places(np.repeat(np.arange(len(sizes)), sizes), rows)

    def __len__(self) -> int:
        return len(self.labels)

    def _at(self, index: int) -> tuple[FrozenDrop, int]:
        return self.parts[self.places.part[index]], int(self.places.row[index])

    def read(self, index: int) -> bytes:
        part, row = self._at(index)
        return part.read(row)

    def name(self, index: int) -> str:
        part, row = self._at(index)
        return part.name(row)

    def digest(self, index: int, encoded: bytes) -> int:
        return bytes_digest(encoded)

    def fingerprint(self) -> str:
        """Hex sha256 of all contents, their order, the labels that are used and the number of people."""
        digest = hashlib.sha256(f"frozen {self.classes}".encode())
        for part in self.parts:
            digest.update(part.fingerprint().encode())
        digest.update(self.labels.astype("<i8").tobytes())
        return digest.hexdigest()


def parts_of(manifest: DataManifest, drops: str | None = None) -> list[FrozenDrop]:
    """The drops of a manifest that have pictures, in order."""
    place = Path(manifest.place if drops is None else drops)
    return [FrozenDrop(place, frozen) for frozen in manifest.drops if len(frozen)]


def vetted_labels(manifest: DataManifest, verdicts: Verdicts) -> np.ndarray:
    """The person's number of each picture, ``UNLABELLED`` where vetting doubts it: int64 [n]."""
    labels = [np.empty(0, np.int64)]
    for drop in manifest.drops:
        doubted = set(verdicts.unlabelled.get(drop.drop, ()))
        kept = np.array([name not in doubted for name in drop.names], bool)
        labels.append(np.where(kept, drop.people, UNLABELLED))
    return np.concatenate(labels)
