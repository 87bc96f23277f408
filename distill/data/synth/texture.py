"""The texture plane of the skin: canonical coordinates of each texel, smooth noise, and drawing in mm."""

from __future__ import annotations

import cv2
import numpy as np

from distill.data.synth.head import RADIUS_MM, TOP_MM, azimuth

WIDTH, HEIGHT = 448, 296
BOTTOM_MM = TOP_MM + 0.85 * HEIGHT

T = np.linspace(-1, 1, WIDTH, dtype=np.float32)
B = np.linspace(TOP_MM, BOTTOM_MM, HEIGHT, dtype=np.float32)
X = (RADIUS_MM * np.sin(azimuth(T))).astype(np.float32)
COS = np.cos(azimuth(T)).astype(np.float32)
_HALF = np.flatnonzero(COS > 0)


def blobs(*spots: tuple[float, float, float, float, float]) -> np.ndarray:
    """A sum of Gaussians [h w] float32, each (weight, x, b, spread of x, of b) in canonical mm.

    On both sides of the face, or in its middle where x is 0; nothing behind the ears.
    """
    weight, x, b, spread_x, spread_b = np.array(spots, np.float32).T[..., None]
    along = weight * np.exp(-0.5 * ((B - b) / spread_b) ** 2)
    across = np.exp(-0.5 * ((np.abs(X) - x) / spread_x) ** 2) * (COS > 0)
    return along.T @ across  # (spots, h)^T @ (spots, w): a sum of separable Gaussians as one product


def noise(rng: np.random.Generator, cells_down: int, cells_round: int) -> np.ndarray:
    """A smooth field [h w] float32 of about unit deviation with so many cells; it closes behind the head."""
    cells = rng.standard_normal((cells_down, cells_round)).astype(np.float32)
    cells[:, -1] = cells[:, 0]  # closes behind the head
    return np.float32(1.3) * cv2.resize(cells, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def place(x: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Canonical mm on the front to texture pixels [... 2] (right, down)."""
    columns = np.interp(x, X[_HALF], _HALF)
    return np.stack([columns, (b - TOP_MM) / (BOTTOM_MM - TOP_MM) * (HEIGHT - 1)], -1)


_SHIFT = 4  # fractional bits of coordinates in OpenCV's drawing calls


def stroke(canvas: np.ndarray, x: np.ndarray, b: np.ndarray, value: float, thickness_px: int = 1) -> None:
    """A smooth line through points in canonical mm, drawn into a uint8 canvas [h w]."""
    strokes(canvas, x[None], b[None], value, thickness_px)


def strokes(canvas: np.ndarray, x: np.ndarray, b: np.ndarray, value: float, thickness_px: int = 1) -> None:
    """The same for many lines [n points] at once."""
    points = np.round(place(x, b) * (1 << _SHIFT)).astype(np.int32)
    cv2.polylines(canvas, list(points), False, int(value), thickness_px, cv2.LINE_AA, _SHIFT)
