"""A depth buffer: which triangle each pixel shows, so that a surface has no holes by construction."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from distill.compiled import inlined, kernel


class Mesh(NamedTuple):
    """``screen`` [v 3] float32 (pixels right, pixels down, mm towards the viewer), ``triangles`` [t 3] int32.

    Of the first ``closed`` triangles, which bound a solid, back faces are culled. ``uv`` [v 2] and ``thin`` [v] make
    gaps between strands: a pixel where ``strands`` [s s] is below ``thin`` is empty.
    """

    screen: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray
    thin: np.ndarray
    strands: np.ndarray
    closed: int


class Visible(NamedTuple):
    """For every pixel [s s]: the nearest triangle (-1 for none), its depth, the weights of two corners."""

    triangle: np.ndarray
    depth: np.ndarray
    first: np.ndarray
    second: np.ndarray


def rasterise(mesh: Mesh, side: int) -> Visible:
    """The visible part of the mesh in a square picture of ``side`` pixels."""
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
    # Unpacked once: numba counts references each time an array is taken out of a tuple.
    screen, triangles, uv, thin, strands, closed = mesh
    seen, depth, first, second = visible
    side = depth.shape[0]
    for t in range(len(triangles)):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        xi, yi, xj, yj = screen[i, 0], screen[i, 1], screen[j, 0], screen[j, 1]
        xk, yk = screen[k, 0], screen[k, 1]
        # twice the signed area: its sign is the side that faces the viewer
        area = (xj - xi) * (yk - yi) - (xk - xi) * (yj - yi)
        if abs(area) < 1e-6 or (area > 0 and t < closed):
            continue
        left, right = max(0, int(np.ceil(min(xi, xj, xk)))), min(side - 1, int(np.floor(max(xi, xj, xk))))
        top, bottom = max(0, int(np.ceil(min(yi, yj, yk)))), min(side - 1, int(np.floor(max(yi, yj, yk))))
        if left > right or top > bottom:
            continue
        inverse = np.float32(1.0) / area
        a_right, b_right = (yj - yk) * inverse, (yk - yi) * inverse  # change of the weights per pixel to the right
        zi, zj, zk = screen[i, 2], screen[j, 2], screen[k, 2]
        laced = thin[i] + thin[j] + thin[k] > 0
        first_x = np.float32(left)
        for y in range(top, bottom + 1):
            at_y = np.float32(y)
            # barycentric weights at the row's start, less one step, because the loop adds first
            a = ((xj - first_x) * (yk - at_y) - (xk - first_x) * (yj - at_y)) * inverse - a_right
            b = ((xk - first_x) * (yi - at_y) - (xi - first_x) * (yk - at_y)) * inverse - b_right
            for x in range(left, right + 1):
                a, b = a + a_right, b + b_right
                if a < 0 or b < 0 or a + b > 1:
                    continue
                z = zk + a * (zi - zk) + b * (zj - zk)
                if z <= depth[y, x] or (laced and _absent(triangles[t], uv, thin, strands, a, b)):
                    continue
                seen[y, x], depth[y, x] = t, z
                first[y, x], second[y, x] = a, b


@inlined
def _absent(corners, uv, thin, strands, a, b):
    """Whether no strand passes through this place of a triangle."""
    i, j, k = corners[0], corners[1], corners[2]
    c = 1 - a - b
    absent = a * thin[i] + b * thin[j] + c * thin[k]
    side = strands.shape[0]
    u = int((a * uv[i, 0] + b * uv[j, 0] + c * uv[k, 0]) * side) % side
    v = int((a * uv[i, 1] + b * uv[j, 1] + c * uv[k, 1]) * side) % side
    return strands[v, u] < absent
