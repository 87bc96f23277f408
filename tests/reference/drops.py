"""Computed pictures of people who are patterns."""

from __future__ import annotations

import numpy as np
import simplejpeg


def jpeg(person: int, number: int, side_px: int = 112) -> bytes:
    """A pattern that is the person's own under noise that is the picture's."""
    patches = np.random.default_rng(person).integers(40, 216, (7, 7, 3))
    noise = np.random.default_rng([person, number]).integers(-30, 31, (side_px, side_px, 3))
    pixels = np.clip(np.kron(patches, np.ones((side_px // 7, side_px // 7, 1), int)) + noise, 0, 255)
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels.astype(np.uint8)), 90, "RGB", "444")
