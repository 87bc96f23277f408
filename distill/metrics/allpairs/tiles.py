"""Products of two ranges of unit rows in float32, and which of them need an exact score.

Nearly all of the time of the engine is spent here: ``HostTiles`` multiplies with one thread and sifts while the tile
is in the cache; ``DeviceTiles`` does both with torch on any device.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.compiled import regrouped
from distill.metrics.allpairs.exact_score import Rows

EVERYWHERE = -(1 << 40)
"""A ``beyond`` that excludes no entry."""

HOST_ROWS, DEVICE_ROWS = 1536, 16384
"""Sides of a tile: large enough for the matrix product, small enough for a CPU's cache."""

BYTES_OF_A_PRODUCT = 12
"""The product, and what ``Sifted`` may hold of it."""

COUNTED_BANDS = 2
"""The lowest bands, above which products are counted in bulk; products above the others are rare enough to sift."""

# below every cut, of which the lowest is -2 - margin
_OUTSIDE = -4.0
# products tested together: a few vector registers, and 1 in 500 products is wanted
_CHUNK = 32


class Sifted(NamedTuple):
    """Products above each of the lowest ``COUNTED_BANDS`` bands, counted; and of those to be rescored, within a band
    or above the next one, the place (row * columns + column) and the product."""

    above: tuple[int, ...]
    places: NDArray[np.int32]
    products: NDArray[np.float32]


class Tiles(Protocol):
    """Where tiles are multiplied; one object for each thread."""

    def hold(self, rows: Rows) -> Tensor:
        """Unit rows on the device that multiplies them."""
        ...

    def multiply(self, left: Tensor, right: Tensor) -> Tensor:
        """Products [m n] of unit rows [m d] and [n d], good until the next call."""
        ...

    def sift(self, products: Tensor, beyond: int, cuts: NDArray[np.float32]) -> Sifted:
        """The products [m n] at column > row + ``beyond`` that need an exact score, and counts of the others."""
        ...


class HostTiles:
    """Tiles of at most ``rows`` x ``rows`` on the CPU, in buffers that are used again."""

    def __init__(self, rows: int) -> None:
        self._products = torch.empty(rows * rows)
        self._places = np.empty(rows * rows + 1, np.int32)  # + 1: the loop writes before it tests

    def hold(self, rows: Rows) -> Tensor:
        return torch.from_numpy(rows)

    def multiply(self, left: Tensor, right: Tensor) -> Tensor:
        shape = len(left), len(right)
        return torch.mm(left, right.T, out=self._products[: shape[0] * shape[1]].view(shape))

    def sift(self, products: Tensor, beyond: int, cuts: NDArray[np.float32]) -> Sifted:
        above, higher, found = _sift(products.numpy(), beyond, padded(cuts), self._places)
        places = self._places[:found]
        return Sifted((above, higher), places, products.numpy().ravel()[places])


class DeviceTiles:
    """Tiles on a torch device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def hold(self, rows: Rows) -> Tensor:
        return torch.from_numpy(rows).to(self._device)

    def multiply(self, left: Tensor, right: Tensor) -> Tensor:
        return torch.mm(left, right.T)

    def sift(self, products: Tensor, beyond: int, cuts: NDArray[np.float32]) -> Sifted:
        if beyond > -len(products):  # the diagonal crosses the tile
            inside = torch.ones_like(products, dtype=torch.bool).triu_(beyond + 1)
            # in place: a copy of a 16384 x 16384 tile would be 1 GB
            products.masked_fill_(~inside, _OUTSIDE)
        first, second, third, fourth, fifth = padded(cuts).tolist()
        # counted in bulk: above the lowest and above the second band
        above = products >= second, products >= fourth
        uncertain = (products >= first) & ~above[0] | (products >= third) & ~above[1] | (products >= fifth)
        places = uncertain.view(-1).nonzero()[:, 0]
        kept = products.view(-1)[places]
        # int32 places suffice: DEVICE_ROWS^2 = 2^28
        return Sifted((int(above[0].sum()), int(above[1].sum())), places.int().cpu().numpy(), kept.cpu().numpy())


def padded(cuts: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cuts of the counted bands and the lower cut of the next one; inf for bands that do not exist."""
    wanted = 2 * COUNTED_BANDS + 1
    return np.append(cuts, np.full(wanted, np.inf, np.float32))[:wanted]


@regrouped
def _sift(products, beyond, cuts, places):
    """Row by row: two counts; then, chunk by chunk, the places of products to rescore.

    Sums of ones in float32, exact below 2^24, because the compiler vectorises them best.
    """
    columns = products.shape[1]
    above, higher, found = 0, 0, 0
    for i in range(products.shape[0]):
        start = min(max(0, i + beyond + 1), columns)
        row = products[i, start:]
        above += int(_reached(row, cuts[1]))
        higher += int(_reached(row, cuts[3]))
        full = len(row) // _CHUNK
        chunks = row[: full * _CHUNK].reshape(full, _CHUNK)
        for k in range(full):
            wanted = np.float32(0)
            for j in range(_CHUNK):
                wanted += np.float32(1) if _wanted(chunks[k, j], cuts) else np.float32(0)
            if wanted > 0:
                found = _places_of(chunks[k], i * columns + start + k * _CHUNK, cuts, places, found)
        found = _places_of(row[full * _CHUNK :], i * columns + start + full * _CHUNK, cuts, places, found)
    return above, higher, found


@regrouped
def _reached(row, cut):
    count = np.float32(0)
    for j in range(len(row)):
        count += np.float32(1) if row[j] >= cut else np.float32(0)
    return count


@regrouped
def _wanted(v, cuts):
    return ((v >= cuts[0]) & (v < cuts[1])) | ((v >= cuts[2]) & (v < cuts[3])) | (v >= cuts[4])


@regrouped
def _places_of(chunk, place, cuts, places, found):
    for j in range(len(chunk)):
        # no branch: always written, kept only if ``found`` moves on
        places[found] = place + j
        found += np.int64(_wanted(chunk[j], cuts))
    return found
