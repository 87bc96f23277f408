"""Verification sets: pairs of crops and whether the two show the same person.

The ``.bin`` files of InsightFace are pickles of ``(images, same)``: pair i is the images 2i and 2i+1, each an encoded
image as bytes or as an array of them, in any encoding of pickle and numpy.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.data.damage import Damage
from distill.data.decode import decode
from distill.data.faceset import DamagedImage
from distill.data.unpickle import EXPECTED, FileArray, unpickle
from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.shown import shown
from distill.types import CROP_PX


@dataclass(frozen=True)
class Pairs:
    """``images`` RGB uint8 [2p 3 112 112] (channels last in memory), pair i in rows 2i and 2i+1; ``same`` bool [p].

    ``identity`` names a set that is generated on every machine, where a pixel may be rounded differently. ``left_out``
    are the numbers in the file, from 0, of pairs that are not here because an image of theirs cannot be read.
    """

    name: str
    images: Tensor
    same: np.ndarray
    identity: str | None = None
    left_out: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.same)

    def fingerprint(self) -> str:
        """Hex sha256 of the decoded images and the labels, or of the ``identity`` of a set that has one."""
        if self.identity is not None:
            return hashlib.sha256(self.identity.encode()).hexdigest()
        # back to the memory order of the decoder: no copy
        digest = hashlib.sha256(self.images.permute(0, 2, 3, 1).contiguous().numpy().data)
        digest.update(np.packbits(self.same).tobytes())
        return digest.hexdigest()

    def thinned(self, count: int) -> Pairs:
        """At most ``count`` pairs, half genuine and half impostor as far as there are enough of each, evenly spread.

        Files list hundreds of one kind in a row, so the first ones would be no test.
        """
        kinds = [np.flatnonzero(self.same), np.flatnonzero(~self.same)]
        few = min(len(k) for k in kinds)
        # half of each kind; more of one where the other has fewer
        halves = [min(len(k), max(count // 2, count - few)) for k in kinds]
        rows = np.sort(np.concatenate([_evenly(k, half) for k, half in zip(kinds, halves, strict=True)]))
        both = torch.from_numpy(np.stack([2 * rows, 2 * rows + 1], 1).ravel())  # (2p): rows of both images
        return Pairs(self.name, self.images[both], self.same[rows])


def sets_in(folder: Path) -> list[Path]:
    """The verification sets (``*.bin``) of a folder by name, those called lfw first: the main one leads."""
    return sorted(folder.glob("*.bin"), key=lambda path: (not path.name.startswith("lfw"), path.name))


def _evenly(rows: np.ndarray, count: int) -> np.ndarray:
    return rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)] if count else rows[:0]


def read_pairs(path: str | Path, damage: Damage | None = None) -> Pairs:
    """Read and decode a set: 38 kB of memory an image, 450 MB for the 6,000 pairs of LFW.

    All is decoded at once, so that a broken file stops a run before it begins rather than at its first verification.
    With ``damage`` an image that cannot be read is recorded there, and its pair left out; without, it is a
    ``UserError``.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a verification set (.bin)")
    encoded, same = _pair_lists(path, unpickle(path))
    images = np.empty((len(encoded), CROP_PX, CROP_PX, 3), np.uint8)  # (2p, 112, 112, 3)
    readable = np.ones(len(same), bool)
    for row, item in enumerate(encoded):
        try:
            images[row] = decode(_encoded(item))
        except DamagedImage as damaged:
            what = f"{path}: image {row % 2 + 1} of pair {row // 2} of {len(same)}: {damaged}"
            if damage is None:
                raise UserError(what) from damaged
            damage.note((path, row), what)
            readable[row // 2] = False
    if not readable.any():
        raise UserError(f"{path}: none of its {len(same)} pairs has two images that can be read; copy it again")
    if readable.all():
        return Pairs(shown(path.stem), torch.from_numpy(images).permute(0, 3, 1, 2), same)
    images, left_out = images[np.repeat(readable, 2)], tuple(np.flatnonzero(~readable).tolist())
    return Pairs(shown(path.stem), torch.from_numpy(images).permute(0, 3, 1, 2), same[readable], left_out=left_out)


def _pair_lists(path: Path, content: object) -> tuple[Sequence[object], np.ndarray]:
    both = _listed(content)
    encoded, verdicts = (_listed(part) for part in both) if both is not None and len(both) == 2 else (None, None)
    if both is None or len(both) != 2 or encoded is None:
        raise UserError(f"{path}: holds no pair of lists (images, same); {EXPECTED}")
    same = None if verdicts is None else [_verdict(one) for one in verdicts]
    if same is None or None in same:
        raise UserError(f"{path}: its second part is no list of booleans, nor of 0 and 1; {EXPECTED}")
    if not same or len(encoded) != 2 * len(same):
        raise UserError(
            f"{path}: has {len(encoded)} images and {len(same)} verdicts; expected two images for every verdict, "
            "and at least one: write the set again from its images"
        )
    return encoded, np.array(same, bool)


def _listed(part: object) -> Sequence[object] | None:
    """The elements of a list, a tuple or an array that is a row or a column; None for anything else."""
    if isinstance(part, FileArray):
        return part.values() if part.flat and part.shape else None
    return part if isinstance(part, tuple | list) else None


def _verdict(value: object) -> bool | None:
    """A boolean: itself, a number that is 0 or 1, or an array of one of these; None for others."""
    if isinstance(value, FileArray | tuple | list):
        elements = value.values() if isinstance(value, FileArray) else value
        value = elements[0] if len(elements) == 1 else None
    return bool(value) if isinstance(value, bool | int | float) and value in (0, 1) else None


def _encoded(item: object) -> bytes:
    if isinstance(item, FileArray) and not item.flat:
        raise DamagedImage(f"is an array of shape {item.shape}; expected an encoded image, JPEG or PNG, not its pixels")
    found = item.encoded() if isinstance(item, FileArray) else item
    if not isinstance(found, bytes | bytearray):
        raise DamagedImage("is neither bytes nor an array of them")
    return bytes(found)


def write_pairs(path: str | Path, encoded: Sequence[bytes], same: Sequence[bool]) -> None:
    """Write encoded crops (2p of them) and verdicts [p] as a set that InsightFace's own tools read too."""
    path = Path(path)
    if len(encoded) != 2 * len(same):
        raise UserError(f"{path}: {len(encoded)} images for {len(same)} verdicts; expected two for every verdict")
    content = pickle.dumps((list(encoded), [bool(s) for s in same]), protocol=4)
    write_atomic(path, content)


def pair_files(given: Any) -> list[Path]:
    """The files that ``pairs`` names: a file, every ``*.bin`` of a folder, or several of either."""
    names = given if isinstance(given, list) else [given]
    if not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"pairs is {given!r}; expected a verification set (.bin), a folder of them, or [A.bin,B.bin]")
    return [path for name in names for path in _files(Path(name))]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sets_in(path)
    if not found:
        raise UserError(f"{path}: holds no *.bin; expected verification sets")
    return found
