"""From a face anywhere in a picture to the crop of 112 px that recognisers are trained on.

The five points of a face go to ArcFace's five places by the similarity transform (one rotation, one scale, one shift)
with the least squared error: S. Umeyama, "Least-squares estimation of transformation parameters between two point
patterns", IEEE TPAMI 13(4), 1991. In the plane, with points as complex numbers, rotation and scale are one complex
factor, and Umeyama's solution is the regression of one centred pattern on the other.
"""

from __future__ import annotations

import cv2
import numpy as np

from distill.types import CROP_PX

TEMPLATE_PX = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
"""ArcFace's places in a crop of 112 px: eyes, tip of the nose, corners of the mouth, as the viewer sees them.

Older lists of five points are for crops 96 px wide; these have 8 px added to each x.
"""


def similarity(from_: np.ndarray, to: np.ndarray) -> tuple[complex, complex]:
    """The least-squares similarity between points [n 2], as complex (factor, shift): to = factor * from + shift.

    The points of ``from_`` must not all coincide.
    """
    p, q = from_ @ np.array([1, 1j]), to @ np.array([1, 1j])  # (n): x + iy
    centred = p - p.mean()
    # least squares of one complex unknown: <p, q> / <p, p>
    factor = (np.conj(centred) @ (q - q.mean())) / (np.abs(centred) ** 2).sum()
    return factor, q.mean() - factor * p.mean()


def alignment(points_px: np.ndarray) -> np.ndarray:
    """The matrix [2 3] from pixels of a picture with the five points [5 2] to pixels of its crop."""
    factor, shift = similarity(points_px, TEMPLATE_PX)
    # real and imaginary part of factor * (x + iy) + shift
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def align(image: np.ndarray, points_px: np.ndarray) -> np.ndarray:
    """The aligned crop uint8 [112 112 3] of a picture uint8 [h w 3]; bilinear, black beyond the picture's edges."""
    return cv2.warpAffine(image, alignment(points_px), (CROP_PX, CROP_PX))
