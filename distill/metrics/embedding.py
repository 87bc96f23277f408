"""Embeddings of a set of crops for the verification protocols: flip-sum, unit length."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.errors import UserError
from distill.types import Embedder


def embed_flip_sum(
    embedder: Embedder,
    images: NDArray[np.uint8] | Tensor,
    batch_size: int = 64,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """Crops [n 3 h w] uint8 RGB to unit vectors [n d]: ``f(x) + f(mirrored x)``, normalised.

    A crop that comes several times, as in verification pairs, is embedded once. ``progress`` is called after every
    batch with the number of rows done. NaN or infinite embeddings are a ``UserError``.
    """
    assert len(images) > 0
    assert batch_size > 0
    crops = torch.as_tensor(images)
    first, place = _distinct(crops.numpy())
    times = np.bincount(place)
    sums = []
    for rows in np.split(first, range(batch_size, len(first), batch_size)):
        sums.append(flip_sum(embedder, crops[torch.from_numpy(rows)]))
        if progress is not None:
            progress(int(times[place[rows]].sum()))
    # (distinct, d) -> (n, d)
    return unit_vectors(np.concatenate(sums)[place], "embeddings")


def flip_sum(embedder: Embedder, crops: Tensor) -> NDArray[np.float64]:
    """Crops [b 3 h w] uint8 RGB to ``f(x) + f(mirrored x)`` [b d], not normalised."""
    return plain(embedder, crops) + plain(embedder, crops.flip(3))  # (b, d), added in float64 as in public code


def plain(embedder: Embedder, crops: Tensor) -> NDArray[np.float64]:
    """Crops [b 3 h w] uint8 RGB to embeddings [b d], not normalised."""
    with torch.no_grad():
        return embedder.embed(crops).double().cpu().numpy()


def _distinct(crops: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each distinct crop comes first, in order, and for every row the number of its crop among these."""
    numbers: dict[bytes, int] = {}
    first: list[int] = []
    place = np.empty(len(crops), np.int64)
    for row, crop in enumerate(crops):
        # 32 bytes per crop instead of the crop itself as key
        key = hashlib.sha256(crop.tobytes()).digest()
        if key not in numbers:
            first.append(row)
        place[row] = numbers.setdefault(key, len(numbers))
    return np.array(first, np.int64), place


def unit_vectors(vectors: NDArray[np.floating], name: str) -> NDArray[np.float64]:
    """Rows [n d] divided by their length, in float64; ``UserError`` names the first row that has no direction."""
    vectors = np.asarray(vectors, dtype=np.float64)
    length = np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    # checked before dividing: 0 / 0 would give silent NaN scores
    bad = np.flatnonzero(~(np.isfinite(length) & (length > 0)))
    if len(bad):
        raise UserError(
            f"{name}: {len(bad)} of {len(vectors)} rows are zero, NaN or infinite, first row {bad[0]}; "
            "expected finite embeddings: check the network's weights and preprocessing"
        )
    return vectors / length
