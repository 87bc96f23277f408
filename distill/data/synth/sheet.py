"""Sheets: surfaces that are grids of points, the one kind of geometry here. A scene is a list of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import numpy as np

from distill.compiled import kernel


class Material(IntEnum):
    skin = 0
    hair = 1
    cloth = 2
    frame = 3
    ear = 4


@dataclass(frozen=True)
class Sheet:
    """``points`` [r c 3] in mm (x right, y down, z towards the viewer); ``uv`` [r c 2] depends on the material.

    ``thin`` [r c] is the share of strands that are absent, 0 for a solid; ``open`` [r c] is the share of ambient light
    that arrives, 0..1; all float32.
    """

    points: np.ndarray
    uv: np.ndarray
    thin: np.ndarray
    open: np.ndarray
    material: Material


@cache
def triangles(rows: int, columns: int, step: int = 1) -> np.ndarray:
    """Corners [t 3] int32 of the two triangles in every cell of a grid, of every ``step``-th row and column."""
    at = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    at = at[_every(rows, step)][:, _every(columns, step)]
    a, b, c, d = at[:-1, :-1].ravel(), at[:-1, 1:].ravel(), at[1:, :-1].ravel(), at[1:, 1:].ravel()
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)]).astype(np.int32)


def _every(count: int, step: int) -> np.ndarray:
    """Every ``step``-th index, first and last included."""
    return np.unique(np.append(np.arange(0, count, step), count - 1))


@kernel
def grid_normals(points):
    """Unit normals [r c 3] of a grid of points [r c 3], from differences of neighbours."""
    rows, columns, _ = points.shape
    normals = np.empty_like(points)
    for r in range(rows):
        above, below = max(r - 1, 0), min(r + 1, rows - 1)
        for c in range(columns):
            left, right = max(c - 1, 0), min(c + 1, columns - 1)
            ax = points[r, right, 0] - points[r, left, 0]
            ay = points[r, right, 1] - points[r, left, 1]
            az = points[r, right, 2] - points[r, left, 2]
            bx = points[below, c, 0] - points[above, c, 0]
            by = points[below, c, 1] - points[above, c, 1]
            bz = points[below, c, 2] - points[above, c, 2]
            nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
            length = np.float32(1.0) / (np.sqrt(nx * nx + ny * ny + nz * nz) + np.float32(1e-9))
            normals[r, c, 0], normals[r, c, 1], normals[r, c, 2] = nx * length, ny * length, nz * length
    return normals
