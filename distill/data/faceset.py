"""The interface of a face set, whatever its storage, and the concatenation of several."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from distill.types import UNLABELLED


class DamagedImage(Exception):
    """One image that cannot be read or decoded; the message is the reason, without the image's name."""


class FaceSet(Protocol):
    """Aligned crops of people: encoded images by index, with the person's number.

    ``labels`` is int64 [n], each in ``0..classes-1`` or ``UNLABELLED``. The order of the images never changes.
    """

    @property
    def classes(self) -> int:
        """Number of people, the upper bound of the labels."""
        ...

    @property
    def labels(self) -> np.ndarray: ...

    def __len__(self) -> int: ...

    def read(self, index: int) -> bytes:
        """The encoded image; raises ``DamagedImage`` where the store itself is broken."""
        ...

    def name(self, index: int) -> str:
        """Where the image is, for messages: file, key and offset."""
        ...

    def fingerprint(self) -> str:
        """Hex sha256 that changes with the images, their order or their labels, but not with the folder's place."""
        ...

    def digest(self, index: int, encoded: bytes) -> int:
        """64-bit digest, not 0, of the image at ``index`` with the bytes ``encoded``."""
        ...


@runtime_checkable
class Listed(Protocol):
    """A set that was found file by file; ``summary`` is one line: images, people, and files that are not read."""

    @property
    def summary(self) -> str: ...


@runtime_checkable
class Described(Protocol):
    """A set with traits of its people."""

    def traits(self) -> np.ndarray:
        """float32 [classes k]: numbers that people differ in, in any units."""
        ...


@runtime_checkable
class Named(Protocol):
    """A set whose people have names, which identify them in a later set."""

    def people(self) -> Sequence[str]:
        """The names of classes 0, 1, ..., each once."""
        ...


def person_numbers(faces: FaceSet) -> np.ndarray:
    """int64 [classes]: for each class a number that the same person has in a later, larger set.

    63 bits of the name where the set knows names, because a new folder shifts the classes behind it; else the class
    itself.
    """
    if not isinstance(faces, Named):
        return np.arange(faces.classes)
    digests = (hashlib.blake2b(os.fsencode(name), digest_size=8).digest() for name in faces.people())
    # 63 bits: int64, never negative, as UNLABELLED is
    return np.array([int.from_bytes(digest, "little") >> 1 for digest in digests], np.int64)


def bytes_digest(encoded: bytes) -> int:
    """64 bits of BLAKE2b over an encoded image, never 0: 7 us for a crop of 5 kB."""
    # 0 marks an image that could not be read
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "little") or 1


class Joined:
    """Labelled faces followed by transfer sets, whose people are unknown here; no image is copied.

    A transfer set keeps its images and loses its labels: numbers of people in another set mean nothing in this one.
    """

    def __init__(self, labelled: FaceSet, transfer: Sequence[FaceSet]) -> None:
        self._sets = [labelled, *transfer]
        self._ends = np.cumsum([len(s) for s in self._sets])
        unknown = np.full(self._ends[-1] - len(labelled), UNLABELLED, np.int64)
        self.labels = np.concatenate([labelled.labels, unknown])
        self.classes = labelled.classes

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _place(self, index: int) -> tuple[FaceSet, int]:
        which = int(np.searchsorted(self._ends, index, side="right"))
        return self._sets[which], index - (int(self._ends[which - 1]) if which else 0)

    def read(self, index: int) -> bytes:
        faces, row = self._place(index)
        return faces.read(row)

    def name(self, index: int) -> str:
        faces, row = self._place(index)
        return faces.name(row)

    def digest(self, index: int, encoded: bytes) -> int:
        faces, row = self._place(index)
        return faces.digest(row, encoded)

    def fingerprint(self) -> str:
        return hashlib.sha256(" ".join(s.fingerprint() for s in self._sets).encode()).hexdigest()


def spread(count: int, of: int) -> list[int]:
    """At most ``count`` different indices below ``of``, evenly spread, first and last included."""
    return sorted({int(i) for i in np.linspace(0, of - 1, min(count, of))})


class Places(NamedTuple):
    """Where each picture [n] comes from: number of the part, and row in it; both int64 [n]."""

    part: np.ndarray
    row: np.ndarray


@runtime_checkable
class InParts(Protocol):
    """A set that joins others: its parts in order, and where each of its pictures comes from."""

    @property
    def parts(self) -> Sequence[FaceSet]: ...

    @property
    def places(self) -> Places: ...
