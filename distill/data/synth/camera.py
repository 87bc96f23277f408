"""From linear RGB to the file: exposure, blur, low resolution, noise, colour, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
import simplejpeg

from distill.types import CROP_PX


def develop(linear: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Linear RGB [s s 3] to sRGB float32 in 0..255: exposure and contrast of the picture, highlights rolled off."""
    exposed = linear * np.float32(np.exp(rng.normal(0.0, 0.05 + 0.20 * strength)))
    rolled = exposed * (1 + 0.16 * exposed) / (1 + 0.42 * exposed)  # highlights are compressed instead of clipped
    values = np.sqrt(np.clip(rolled, 0, 1.2)) * 262  # gamma 2, the inverse of ``linear``
    contrast, cast = rng.normal(1.02, 0.02 + 0.06 * strength), rng.normal(0, 1 + 4.5 * strength, 3)
    return ((values - 110) * np.float32(contrast) + 110 + cast.astype(np.float32)).astype(np.float32)


def degrade(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Blur, low resolution, noise and gray of a picture float32 [s s 3] in 0..255; returns uint8."""
    side = image.shape[0]
    unit = side / CROP_PX
    if rng.random() < 0.3 * strength:
        small = int(rng.uniform(30, 84) * unit)
        image = cv2.resize(cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA), (side, side))
    elif rng.random() < 0.5 * strength:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.35, 1.3) * unit)
    noise = abs(rng.normal(0, 0.8 + 2.6 * strength))  # standard deviation in levels of 0..255
    image = image + np.float32(noise) * rng.standard_normal(image.shape, np.float32)
    if rng.random() < 0.06 * strength:
        image = np.repeat(image @ np.array([[0.3], [0.59], [0.11]], np.float32), 3, 2)  # Rec. 601 luma
    return np.clip(image, 0, 255).astype(np.uint8)


def encode(image: np.ndarray, rng: np.random.Generator, strength: float) -> bytes:
    """JPEG bytes of an RGB picture uint8 [s s 3]."""
    quality = int(rng.integers(96 - int(50 * strength), 97))
    return simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality, "RGB", "420" if quality < 90 else "444")
