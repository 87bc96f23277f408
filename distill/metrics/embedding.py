"""Embeddings of a set of crops as the verification protocols want them: flip-sum, unit length."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.types import Embedder, UserError


def embed_flip_sum(
    embedder: Embedder,
    images: NDArray[np.uint8] | Tensor,
    batch_size: int = 64,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """Crops [n 3 h w] uint8 RGB to unit vectors [n d]: ``f(x) + f(mirrored x)``, normalised.

    ``progress`` is called after every batch with its number of images. NaN or infinite embeddings are a ``UserError``.
    """
    assert len(images) > 0
    assert batch_size > 0
    sums = []
    for batch in torch.as_tensor(images).split(batch_size):
        with torch.no_grad():
            both = embedder.embed(batch) + embedder.embed(batch.flip(3))
        sums.append(both.double().cpu().numpy())
        if progress is not None:
            progress(len(batch))
    return unit_vectors(np.concatenate(sums), "embeddings")


def unit_vectors(vectors: NDArray[np.floating], name: str) -> NDArray[np.float64]:
    """Rows [n d] divided by their length, in float64; ``UserError`` names the first row that has no direction."""
    vectors = np.asarray(vectors, dtype=np.float64)
    length = np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    bad = np.flatnonzero(~(np.isfinite(length) & (length > 0)))
    if len(bad):
        raise UserError(
            f"{name}: {len(bad)} of {len(vectors)} rows are zero, NaN or infinite, first row {bad[0]}; "
            "expected finite embeddings: check the network's weights and preprocessing"
        )
    return vectors / length
