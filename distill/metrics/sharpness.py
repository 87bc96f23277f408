"""How sharp a picture is, seen from its pixels alone: no model has a say in which pairs are the hard ones.

The variance of the Laplacian (Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000), of the
luma of ITU-R BT.601. Blur and enlargement take fine detail away and lower it; noise raises it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LUMA = np.array([0.299, 0.587, 0.114])
BATCH = 128  # images that are looked at at once: 50 MB in float64


def sharpness(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Variance of the Laplacian of RGB crops [n 3 h w], 3 or more pixels high and wide, for each: [n]."""
    parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    return np.concatenate([_laplacian(part).var(axis=(1, 2)) for part in parts])


def thirds(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """0, 1 or 2 for the lowest, middle and highest third of values [p]; equal values fall into the same third."""
    return np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values, side="left")


def _laplacian(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Four neighbours less four times the pixel, inside of the border: [b h-2 w-2]."""
    luma = np.tensordot(LUMA, images, axes=(0, 1))
    inside = luma[:, 1:-1, 1:-1]
    return luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:] - 4 * inside
