"""All pairs of one set or of two, and their numbers by kind: counted from the identities, never one by one.

One set: every unordered pair of different rows, once. Gallery and probes: every gallery row with every probe row. A
pair is genuine where both rows have one identity, and impostor otherwise. A distractor is a person of its own: all of
its pairs are impostors, those with other distractors included.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from distill.errors import UserError
from distill.metrics.allpairs.exact_score import MOST_COLUMNS, Rows, unit_rows

DISTRACTOR = -1
_PIECE_BYTES = 1 << 24


@dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """Features [n d] float32 (np.memmap is read piece by piece), and identities [n] int64, ``DISTRACTOR`` for none.

    ``name`` is used in error messages. ``kept`` are the rows [n] of ``features`` that count, in order;
    None: all. ``UserError`` where the parts do not fit together.
    """

    features: Rows
    identities: NDArray[np.int64]
    name: str = "features"
    kept: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        kind, columns = self.features.dtype, self.features.shape[1:]
        shape = (len(self.features if self.kept is None else self.kept), *columns)
        if len(shape) != 2 or kind != np.float32 or not 0 < shape[1] <= MOST_COLUMNS:
            raise UserError(f"{self.name}: features are {kind} {list(shape)}; expected float32 [n d], d <= 65,536")
        if self.identities.shape != shape[:1] or self.identities.dtype != np.int64:
            found = f"{self.identities.dtype} {list(self.identities.shape)}"
            raise UserError(f"{self.name}: identities are {found} for {shape[0]} rows; expected int64 [{shape[0]}]")
        if len(self.identities) and self.identities.min() < DISTRACTOR:
            row = int(self.identities.argmin())
            raise UserError(
                f"{self.name}: row {row} has identity {self.identities[row]}; expected 0 or more, -1 for a distractor"
            )

    def __len__(self) -> int:
        return len(self.identities)

    def number(self, row: int) -> int:
        """The row number in ``features``."""
        return row if self.kept is None else int(self.kept[row])

    def unit(self, first: int, end: int) -> Rows:
        """Unit rows [end-first d]; read in pieces of 16 MB, so that only one piece of a memory map is resident."""
        unit = np.empty((end - first, self.features.shape[1]), np.float32)
        for start, piece in self._pieces(first, end):
            unit[start - first : start - first + len(piece)] = unit_rows(piece, self.name, start)
        return unit

    def unit_at(self, rows: NDArray[np.int64]) -> Rows:
        """Unit rows [k d] of any rows [k]."""
        unit = unit_rows(np.asarray(self.features[rows if self.kept is None else self.kept[rows]]), self.name)
        self._release()
        return unit

    def check(self) -> str:
        """Hex sha256 of features and identities; ``UserError`` at the first row without direction."""
        digest = hashlib.sha256(repr((len(self), *self.features.shape[1:])).encode())
        for start, piece in self._pieces(0, len(self)):
            unit_rows(piece, self.name, start)
            digest.update(piece.data)
        digest.update(np.ascontiguousarray(self.identities).data)
        return digest.hexdigest()

    def _pieces(self, first: int, end: int) -> Iterator[tuple[int, Rows]]:
        rows = max(1, _PIECE_BYTES // (4 * self.features.shape[1]))
        for start in range(first, end, rows):
            piece = slice(start, min(start + rows, end))
            chosen = piece if self.kept is None else self.kept[piece]  # a slice stays a view, an index array copies
            yield start, np.ascontiguousarray(np.asarray(self.features[chosen]))
            self._release()

    def _release(self) -> None:
        """Drop a memory map's pages, which count as resident memory of the process until the system reclaims them."""
        if (
            not isinstance(self.features, np.memmap) or self.features.mode == "c"
        ):  # copy-on-write: changes would be lost
            return
        base = self.features.base
        # views of views: the mmap object is at the end of the chain
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, mmap.mmap):
            base.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True, eq=False)
class Pairing:
    """All pairs of one set, or of gallery and probes."""

    gallery: LabelledFeatures
    probes: LabelledFeatures | None = None

    def __post_init__(self) -> None:
        if self.probes is not None and self.probes.features.shape[1] != self.columns:
            raise UserError(
                f"{self.probes.name}: {self.probes.features.shape[1]} columns; expected {self.columns}, as "
                f"{self.gallery.name} has"
            )
        if self.pairs == 0:
            raise UserError(f"{self.gallery.name}: {len(self.gallery)} rows make no pair; expected two or more")

    @property
    def columns(self) -> int:
        return self.gallery.features.shape[1]

    @property
    def right(self) -> LabelledFeatures:
        """The other side of every pair."""
        return self.gallery if self.probes is None else self.probes

    @property
    def pairs(self) -> int:
        n = len(self.gallery)
        return n * (n - 1) // 2 if self.probes is None else n * len(self.probes)

    @cached_property
    def persons(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Numbers of the persons of both sides, from 0; every distractor has one of its own."""
        both = [self.gallery] if self.probes is None else [self.gallery, self.probes]
        identities = np.concatenate([faces.identities for faces in both])
        known = identities != DISTRACTOR
        numbers = np.empty(len(identities), np.int32)
        # (persons), and for each known row the place of its identity there
        names, numbers[known] = np.unique(identities[known], return_inverse=True)
        # distractors follow, each a person of its own, so that no two of them make a genuine pair
        numbers[~known] = np.arange(len(names), len(names) + np.count_nonzero(~known))
        left = numbers[: len(self.gallery)]
        return left, left if self.probes is None else numbers[len(self.gallery) :]

    @cached_property
    def rows_of_persons(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many rows each person has on either side [persons]."""
        count = 1 + max(int(side.max(initial=-1)) for side in self.persons)
        left, right = (np.bincount(side, minlength=count) for side in self.persons)
        return left, right

    @property
    def genuine(self) -> int:
        left, right = self.rows_of_persons
        # rows of a person among themselves, or of both sides with each other
        return int((left * (left - 1) // 2 if self.probes is None else left * right).sum())

    @property
    def impostor(self) -> int:
        return self.pairs - self.genuine

    def impostor_weight(self, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of the weights [r] of all impostor pairs for numbers of draws of the persons [r persons].

        A pair weighs the product of its two persons' numbers of draws: the sum over all pairs of rows less that of
        the pairs within one person.
        """
        left, right = (drawn * rows for rows in self.rows_of_persons)
        # (r); of one set both orders of a pair are in it, hence the half below
        all_pairs = left.sum(axis=1) * right.sum(axis=1) - (left * right).sum(axis=1)
        return all_pairs / 2 if self.probes is None else all_pairs
