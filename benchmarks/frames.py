"""Frames of known severity for benchmarks: aligned crops, degraded as by cameras, codecs and occlusion.

None of these is what training draws (distill/data/augment.py): blur has a direction, low resolution is enlarged by
another filter, what covers a face is a patch of another picture, and every frame is compressed.
"""

from __future__ import annotations

import cv2
import numpy as np
import simplejpeg

from distill.types import CROP_PX

KINDS = ("clean", "blur", "low_resolution", "occlusion")
BLUR_PX = (9, 21)
"""Length of a straight motion, from and to."""
LOW_RESOLUTION_PX = (9, 18)
"""Side of the whole crop."""
OCCLUSION_SHARE = (0.3, 0.55)
"""Of the crop's area."""


def frame(picture: np.ndarray, kind: str, rng: np.random.Generator, cover: np.ndarray) -> np.ndarray:
    """RGB uint8 [112 112 3] to one frame of it: jittered, degraded by ``kind``, compressed.

    ``cover`` is another picture of the same size, for occlusion.
    """
    image = _jittered(picture, rng)
    if kind == "blur":
        image = _moved(image, rng)
    elif kind == "low_resolution":
        side_px = int(rng.integers(*LOW_RESOLUTION_PX, endpoint=True))
        small = cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, (CROP_PX, CROP_PX), interpolation=cv2.INTER_CUBIC)
    elif kind == "occlusion":
        image = _covered(image, cover, rng)
    else:
        assert kind == "clean", kind
    return simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(image, int(rng.integers(70, 95)), "RGB", "420"), "RGB")


def _jittered(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What differs between neighbouring frames of a still person: a pixel of place, some per cent of size and light."""
    zoom, turn_deg = rng.uniform(0.97, 1.03), rng.uniform(-3, 3)
    matrix = cv2.getRotationMatrix2D((CROP_PX / 2, CROP_PX / 2), turn_deg, zoom)
    matrix[:, 2] += rng.uniform(-1.5, 1.5, 2)
    moved = cv2.warpAffine(picture, matrix, (CROP_PX, CROP_PX), borderMode=cv2.BORDER_REPLICATE)
    return np.clip(moved * rng.uniform(0.9, 1.1), 0, 255).astype(np.uint8)


def _moved(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Motion blur: the mean along a straight line."""
    length_px, angle = int(rng.integers(*BLUR_PX, endpoint=True)), rng.uniform(0, np.pi)
    kernel = np.zeros((length_px, length_px), np.float32)
    middle, reach = (length_px - 1) / 2, (length_px - 1) / 2 * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(int(v) for v in np.rint(middle + side * reach)) for side in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def _covered(image: np.ndarray, cover: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A patch of another picture, turned upside down so that it shows no face in its place."""
    share, wide = rng.uniform(*OCCLUSION_SHARE), rng.uniform(0.7, 1.4)
    width, height = (min(CROP_PX, round(CROP_PX * (share * w) ** 0.5)) for w in (wide, 1 / wide))
    left, top = rng.integers(0, CROP_PX - width + 1), rng.integers(0, CROP_PX - height + 1)
    image = image.copy()
    image[top : top + height, left : left + width] = cover[::-1][:height, :width]
    return image
