"""A depth buffer: which triangle each pixel shows, so that a surface has no holes by construction."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from distill.data.synth.kernel import kernel


class Mesh(NamedTuple):
    """``screen`` [v 3] float32 (pixels right, pixels down, mm towards the viewer), ``triangles`` [t 3] int32.

    ``uv`` [v 2] and ``thin`` [v] let strands be left out: a pixel where ``strands`` [s s] is below ``thin`` is empty.
    """

    screen: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray
    thin: np.ndarray
    strands: np.ndarray


class Visible(NamedTuple):
    """For every pixel [s s]: the nearest triangle (-1 for none), its depth, and the weights of its first two corners."""

    triangle: np.ndarray
    depth: np.ndarray
    first: np.ndarray
    second: np.ndarray


def rasterise(mesh: Mesh, side: int) -> Visible:
    """What a square picture of ``side`` pixels shows of the mesh."""
    visible = Visible(
        np.full((side, side), -1, np.int32),
        np.full((side, side), -1e9, np.float32),
        np.empty((side, side), np.float32),
        np.empty((side, side), np.float32),
    )
    _fill(mesh, visible)
    return visible


@kernel
def _fill(mesh, visible):
    side = visible.depth.shape[0]
    one = np.float32(1.0)
    for t in range(len(mesh.triangles)):
        i, j, k = mesh.triangles[t, 0], mesh.triangles[t, 1], mesh.triangles[t, 2]
        xi, yi, xj, yj = mesh.screen[i, 0], mesh.screen[i, 1], mesh.screen[j, 0], mesh.screen[j, 1]
        xk, yk = mesh.screen[k, 0], mesh.screen[k, 1]
        area = (xj - xi) * (yk - yi) - (xk - xi) * (yj - yi)
        left, right = max(0, int(np.ceil(min(xi, xj, xk)))), min(side - 1, int(np.floor(max(xi, xj, xk))))
        top, bottom = max(0, int(np.ceil(min(yi, yj, yk)))), min(side - 1, int(np.floor(max(yi, yj, yk))))
        if abs(area) < 1e-6 or left > right or top > bottom:
            continue
        laced = mesh.thin[i] + mesh.thin[j] + mesh.thin[k] > 0
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                a = ((xj - x) * (yk - y) - (xk - x) * (yj - y)) / area
                b = ((xk - x) * (yi - y) - (xi - x) * (yk - y)) / area
                c = one - a - b
                if a < 0 or b < 0 or c < 0:
                    continue
                z = a * mesh.screen[i, 2] + b * mesh.screen[j, 2] + c * mesh.screen[k, 2]
                if z <= visible.depth[y, x] or (laced and _absent(mesh, t, a, b)):
                    continue
                visible.triangle[y, x], visible.depth[y, x] = t, z
                visible.first[y, x], visible.second[y, x] = a, b


@kernel
def _absent(mesh, t, a, b):
    """Whether no strand passes through this place of a triangle."""
    i, j, k = mesh.triangles[t, 0], mesh.triangles[t, 1], mesh.triangles[t, 2]
    c = 1 - a - b
    thin = a * mesh.thin[i] + b * mesh.thin[j] + c * mesh.thin[k]
    side = mesh.strands.shape[0]
    u = int((a * mesh.uv[i, 0] + b * mesh.uv[j, 0] + c * mesh.uv[k, 0]) * side) % side
    v = int((a * mesh.uv[i, 1] + b * mesh.uv[j, 1] + c * mesh.uv[k, 1]) * side) % side
    return mesh.strands[v, u] < thin
