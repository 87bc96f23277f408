"""Products of two stretches of unit rows in float32, and which of them need a second look.

Nearly all of the time of the engine is spent here: ``HostTiles`` multiplies with one thread and sifts while the tile
is in the cache; ``DeviceTiles`` does both with torch on any device.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.metrics.allpairs.compiled import compiled
from distill.metrics.allpairs.unit import Rows

EVERYWHERE = -(1 << 40)
"""A ``beyond`` that leaves nothing out."""

HOST_ROWS, DEVICE_ROWS = 1024, 16384
"""Sides of a tile: large enough for the matrix product, small enough for a CPU's cache."""

BYTES_OF_A_PRODUCT = 12
"""The product, and what ``Sifted`` may hold of it."""

_OUTSIDE = -4.0
_CHUNK = 64


class Sifted(NamedTuple):
    """Products at or above cut 1, counted; and place (row * columns + column) and product of those that need a look:
    between cuts 0 and 1, or at or above cut 2."""

    above: int
    places: NDArray[np.int32]
    products: NDArray[np.float32]


class Tiles(Protocol):
    """Where tiles are multiplied; one object for each thread."""

    def hold(self, rows: Rows) -> Tensor:
        """Unit rows, where products are made."""
        ...

    def multiply(self, left: Tensor, right: Tensor) -> Tensor:
        """Products [m n] of unit rows [m d] and [n d], good until the next call."""
        ...

    def sift(self, products: Tensor, beyond: int, cuts: NDArray[np.float32]) -> Sifted:
        """What needs a second look of the products [m n] at column > row + ``beyond``."""
        ...


class HostTiles:
    """Tiles of at most ``rows`` x ``rows`` on the CPU, in buffers that are used again."""

    def __init__(self, rows: int) -> None:
        self._products = torch.empty(rows * rows)
        self._places = np.empty(rows * rows, np.int32)
        self._kept = np.empty(rows * rows, np.float32)

    def hold(self, rows: Rows) -> Tensor:
        return torch.from_numpy(rows)

    def multiply(self, left: Tensor, right: Tensor) -> Tensor:
        shape = len(left), len(right)
        return torch.mm(left, right.T, out=self._products[: shape[0] * shape[1]].view(shape))

    def sift(self, products: Tensor, beyond: int, cuts: NDArray[np.float32]) -> Sifted:
        above, kept = _sift(products.numpy(), beyond, _three(cuts), self._places, self._kept)
        return Sifted(above, self._places[:kept], self._kept[:kept])


class DeviceTiles:
    """Tiles on a torch device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def hold(self, rows: Rows) -> Tensor:
        return torch.from_numpy(rows).to(self._device)

    def multiply(self, left: Tensor, right: Tensor) -> Tensor:
        return torch.mm(left, right.T)

    def sift(self, products: Tensor, beyond: int, cuts: NDArray[np.float32]) -> Sifted:
        if beyond > -len(products):  # some entries are left out
            inside = torch.ones_like(products, dtype=torch.bool).triu_(beyond + 1)
            products.masked_fill_(~inside, _OUTSIDE)
        first, second, third = _three(cuts).tolist()
        high = products >= second
        places = ((products >= first) & ~high | (products >= third)).view(-1).nonzero()[:, 0]
        kept = products.view(-1)[places]
        return Sifted(int(high.sum()), places.int().cpu().numpy(), kept.cpu().numpy())


def _three(cuts: NDArray[np.float32]) -> NDArray[np.float32]:
    return cuts[:3] if len(cuts) > 2 else np.append(cuts, np.float32(np.inf))


@compiled
def _sift(products, beyond, cuts, places, kept):
    """Chunk by chunk: three counts, which the compiler makes vector instructions, then a closer look where needed."""
    first, second, third = cuts[0], cuts[1], cuts[2]
    columns = products.shape[1]
    above, found = 0, 0
    for i in range(products.shape[0]):
        row = products[i]
        for start in range(max(0, i + beyond + 1), columns, _CHUNK):
            end = min(start + _CHUNK, columns)
            low = high = top = np.int32(0)
            for j in range(start, end):
                low += np.int32(row[j] >= first)
                high += np.int32(row[j] >= second)
                top += np.int32(row[j] >= third)
            above += high
            if low != high or top != 0:
                for j in range(start, end):
                    if row[j] >= third or (row[j] >= first and row[j] < second):
                        places[found] = i * columns + j
                        kept[found] = row[j]
                        found += 1
    return above, found
