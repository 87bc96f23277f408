"""What pictures are, by sha256 of their bytes: read on all cores, and the copies among them found."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from distill.data.decode import decode
from distill.data.faceset import DamagedImage
from distill.data.prefetch import ahead
from distill.nightly.drop import Pictures

SHA256_BYTES = 32
_STRETCH = 64
"""Pictures that a thread looks at in one go."""


Progress = Callable[[int], None]


class PictureHash(NamedTuple):
    """What became of one picture: its sha256, or why it cannot be used."""

    sha256: bytes
    damage: str


def hash_pictures(pictures: Pictures, names: Sequence[str], check: bool, progress: Progress) -> list[PictureHash]:
    """Read and hash pictures, and with ``check`` try to decode them; ``progress`` gets counts."""

    def stretch_of(stretch: Sequence[str]) -> list[PictureHash]:
        return [_hash_picture(pictures, name, check) for name in stretch]

    found: list[PictureHash] = []
    stretches = [names[first : first + _STRETCH] for first in range(0, len(names), _STRETCH)]
    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores) as pool:  # hashing and decoding let go of the interpreter's lock
        for seen in ahead(pool, stretch_of, stretches, depth=4 * cores):
            found += seen
            progress(len(seen))
    return found


def _hash_picture(pictures: Pictures, name: str, check: bool) -> PictureHash:
    try:
        encoded = pictures.read(name)
        if check:
            decode(encoded)
    except DamagedImage as damage:
        return PictureHash(b"", str(damage))
    return PictureHash(hashlib.sha256(encoded).digest(), "")


def digests(hashes: Sequence[bytes]) -> np.ndarray:
    """Hashes as uint8 [n 32]."""
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), SHA256_BYTES)


def first_of_same(hashes: np.ndarray) -> np.ndarray:
    """For each of the hashes uint8 [n 32], the first row with the same bytes: int64 [n]."""
    if not len(hashes):
        return np.empty(0, np.int64)
    words = np.ascontiguousarray(hashes).view(f"S{SHA256_BYTES}").ravel()
    _, first, inverse = np.unique(words, return_index=True, return_inverse=True)
    return first[inverse]
