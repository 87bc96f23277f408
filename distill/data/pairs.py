"""Verification sets: pairs of crops and whether the two show the same person.

The ``.bin`` files of InsightFace are pickles of ``(images, same)``: pair i is the images 2i and 2i+1, each an encoded
image as bytes or as a one-dimensional uint8 array.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distill.data.damage import Damage
from distill.data.decode import decode
from distill.data.faceset import DamagedImage
from distill.data.unpickle import ByteArray, unpickle
from distill.types import CROP_PX, UserError


@dataclass(frozen=True)
class Pairs:
    """``images`` RGB uint8 [2p 3 112 112] (channels last in memory), pair i in rows 2i and 2i+1; ``same`` bool [p].

    ``identity`` names a set that is made anew on every machine, where a pixel may be rounded otherwise. ``left_out``
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
        """Hex sha256 of the decoded images and of what they say, or of the ``identity`` of a set that has one."""
        if self.identity is not None:
            return hashlib.sha256(self.identity.encode()).hexdigest()
        digest = hashlib.sha256(self.images.permute(0, 2, 3, 1).contiguous().numpy().data)
        digest.update(np.packbits(self.same).tobytes())
        return digest.hexdigest()

    def thinned(self, count: int) -> Pairs:
        """At most ``count`` pairs, alternating people alike and different as far as there are any of each.

        Files list hundreds of one kind in a row, so the first ones would be no test.
        """
        kinds = [np.flatnonzero(self.same), np.flatnonzero(~self.same)]
        few = min(len(k) for k in kinds)
        halves = [min(len(k), max(count // 2, count - few)) for k in kinds]
        rows = np.sort(np.concatenate([_evenly(k, half) for k, half in zip(kinds, halves, strict=True)]))
        both = torch.from_numpy(np.stack([2 * rows, 2 * rows + 1], 1).ravel())
        return Pairs(self.name, self.images[both], self.same[rows])


def sets_in(folder: Path) -> list[Path]:
    """The verification sets (``*.bin``) of a folder by name, those called lfw first: the main one leads."""
    return sorted(folder.glob("*.bin"), key=lambda path: (not path.name.startswith("lfw"), path.name))


def _evenly(rows: np.ndarray, count: int) -> np.ndarray:
    return rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)] if count else rows[:0]


def read_pairs(path: str | Path, damage: Damage | None = None) -> Pairs:
    """Read and decode a whole set: 38 kB of memory an image, 450 MB for the 6,000 pairs of LFW.

    All is decoded at once, so that a broken file stops a run before it begins rather than at its first verification.
    With ``damage`` an image that cannot be read is noted there, and its pair left out; without, it is a ``UserError``.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a verification set (.bin)")
    encoded, same = _pair_lists(path, unpickle(path))
    images = np.empty((len(encoded), CROP_PX, CROP_PX, 3), np.uint8)
    whole = np.ones(len(same), bool)
    for row, item in enumerate(encoded):
        try:
            images[row] = decode(_encoded(item))
        except DamagedImage as damaged:
            what = f"{path}: image {row % 2 + 1} of pair {row // 2} of {len(same)}: {damaged}"
            if damage is None:
                raise UserError(what) from damaged
            damage.note((path, row), what)
            whole[row // 2] = False
    if not whole.any():
        raise UserError(f"{path}: none of its {len(same)} pairs has two images that can be read; copy it again")
    if whole.all():
        return Pairs(path.stem, torch.from_numpy(images).permute(0, 3, 1, 2), same)
    images, left_out = images[np.repeat(whole, 2)], tuple(np.flatnonzero(~whole).tolist())
    return Pairs(path.stem, torch.from_numpy(images).permute(0, 3, 1, 2), same[whole], left_out=left_out)


def _pair_lists(path: Path, content: object) -> tuple[Sequence[object], np.ndarray]:
    if not isinstance(content, tuple | list) or len(content) != 2 or not isinstance(content[0], tuple | list):
        raise UserError(f"{path}: holds no pair of lists (images, same); expected a verification set of InsightFace")
    encoded, verdicts = content
    if isinstance(verdicts, ByteArray):
        verdicts = list(verdicts.content)
    if not isinstance(verdicts, tuple | list) or not all(type(v) in (bool, int) and v in (0, 1) for v in verdicts):
        raise UserError(f"{path}: its second part is no list of booleans; expected one for every pair of images")
    if not verdicts or len(encoded) != 2 * len(verdicts):
        raise UserError(
            f"{path}: has {len(encoded)} images and {len(verdicts)} verdicts; expected two images for every verdict, "
            "and at least one: copy it again"
        )
    return encoded, np.array(verdicts, bool)


def _encoded(item: object) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, ByteArray) and len(item.shape) == 1:
        return item.content
    raise DamagedImage("is neither bytes nor a one-dimensional uint8 array")


def write_pairs(path: str | Path, encoded: Sequence[bytes], same: Sequence[bool]) -> None:
    """Write encoded crops (2p of them) and verdicts [p] as a set that InsightFace's own tools read too."""
    path = Path(path)
    if len(encoded) != 2 * len(same):
        raise UserError(f"{path}: {len(encoded)} images for {len(same)} verdicts; expected two for every verdict")
    content = pickle.dumps((list(encoded), [bool(s) for s in same]), protocol=4)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
