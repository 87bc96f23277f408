"""Backgrounds, out of focus: walls, windows, shelves, foliage, lamps."""

from __future__ import annotations

import cv2
import numpy as np

# drawn small and enlarged: a background out of focus has no detail
_PX = 64


def draw_background(rng: np.random.Generator, side: int) -> np.ndarray:
    """A blurred picture float32 [side side 3], linear RGB."""
    hue = rng.uniform(-1, 1, 3)
    base = rng.beta(1.6, 2.0) * (0.78 + rng.choice([0.08, 0.22]) * hue)
    slope = np.linspace(-1, 1, _PX)[:, None, None] * rng.normal(0, 0.3) + np.linspace(-1, 1, _PX)[:, None] * rng.normal(
        0, 0.3
    )
    canvas = np.ascontiguousarray(np.clip(base * (1 + slope), 0.01, 1), np.float32)
    kind = rng.choice(["wall", "blocks", "lamps", "leaves"], p=[0.3, 0.35, 0.15, 0.2])
    {"wall": _wall, "blocks": _blocks, "lamps": _lamps, "leaves": _leaves}[str(kind)](canvas, base, rng)
    blurred = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.8, 4.0))
    return cv2.resize(blurred, (side, side), interpolation=cv2.INTER_LINEAR)


def _colour(base: np.ndarray, rng: np.random.Generator) -> tuple[float, ...]:
    return tuple(np.clip(base * rng.uniform(0.3, 1.9) + rng.normal(0, 0.04, 3), 0, 1).tolist())


def _wall(canvas: np.ndarray, base: np.ndarray, rng: np.random.Generator) -> None:
    canvas *= cv2.resize(rng.uniform(0.85, 1.1, (6, 6)).astype(np.float32), (_PX, _PX))[..., None]


def _blocks(canvas: np.ndarray, base: np.ndarray, rng: np.random.Generator) -> None:
    """Doors, frames, shelves."""
    for _ in range(rng.integers(3, 9)):
        (x, y), (w, h) = rng.integers(-10, _PX, 2).tolist(), rng.integers(6, 44, 2).tolist()
        cv2.rectangle(canvas, (x, y), (x + w, y + h), _colour(base, rng), -1)


def _lamps(canvas: np.ndarray, base: np.ndarray, rng: np.random.Generator) -> None:
    canvas *= 0.4
    for x, y, r in rng.integers((0, 0, 2), (_PX, _PX, 8), (int(rng.integers(5, 20)), 3)).tolist():
        cv2.circle(canvas, (x, y), r, _colour(base + 0.3, rng), -1, cv2.LINE_AA)


def _leaves(canvas: np.ndarray, base: np.ndarray, rng: np.random.Generator) -> None:
    green = np.array([0.10, 0.20, 0.05]) * rng.uniform(0.4, 2.0)
    cells = rng.uniform(0.2, 1.8, (22, 22, 1)).astype(np.float32)
    canvas[:] = 0.3 * canvas + cv2.resize(cells, (_PX, _PX), interpolation=cv2.INTER_CUBIC)[..., None] * green
    np.clip(canvas, 0, 1, out=canvas)
