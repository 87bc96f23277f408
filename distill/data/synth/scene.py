"""One picture's scene: a head with its expression and outfit, turned, seen by a camera, aligned and lit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distill.compiled import kernel
from distill.data.synth import head
from distill.data.synth.hair import strands
from distill.data.synth.raster import Mesh, Visible, rasterise
from distill.data.synth.shade import Shadow, Surface, Triple
from distill.data.synth.sheet import Sheet, grid_normals, triangles
from distill.types import CROP_PX

_SHADOW_PX, _SHADOW_MM = 80, 330.0
_NO_STRANDS = np.zeros((1, 1), np.float32)


@dataclass(frozen=True)
class View:
    """``turn`` [3 3] takes the head's mm to the viewer's; the camera stands ``distance_mm`` before the head."""

    turn: np.ndarray
    distance_mm: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """View-space points [n 3] in mm to the picture's plane [n 2], before alignment."""
        # perspective: 1 at the middle of the head
        nearness = np.float32(self.distance_mm) / (np.float32(self.distance_mm) - points[:, 2:3])
        return points[:, :2] * nearness


def turn(yaw: float, pitch: float) -> np.ndarray:
    """The rotation [3 3] of a head that looks to the viewer's right and down by so many radians."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    return np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]]) @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])


def landmarks(points: np.ndarray) -> np.ndarray:
    """The five landmarks [5 3] of the template, of a head [r c 3]."""
    eye, mouth = head.EYE_X_MM, head.MOUTH_HALF_MM
    places = [(-eye, 0), (eye, 0), (0, head.NOSE_TIP_MM), (-mouth, head.LIP_LINE_MM), (mouth, head.LIP_LINE_MM)]
    return np.stack([head.at(points, x, b) for x, b in places])


def aligned(plane: np.ndarray, fit: tuple[complex, complex], side: int) -> np.ndarray:
    """Points [n 2] of the picture's plane to pixels [n 2] of a crop of ``side`` pixels."""
    factor, shift = _pixel_fit(fit, side)
    placed = factor * (plane @ np.array([1, 1j])) + shift
    return np.stack([placed.real, placed.imag], -1)


def _pixel_fit(fit: tuple[complex, complex], side: int) -> tuple[complex, complex]:
    """A similarity to the template's 112 pixels, for ``side`` pixels: their centres lie at whole numbers."""
    scale = side / CROP_PX
    return fit[0] * scale, fit[1] * scale + 0.5 * (scale - 1) * (1 + 1j)  # half a pixel at each scale


def assemble(sheets: list[Sheet], view: View) -> Surface:
    """All sheets in view space, as one surface."""
    points = [s.points.reshape(-1, 3) for s in sheets]
    normals = [grid_normals(np.ascontiguousarray(s.points)).reshape(-1, 3) for s in sheets]
    rotation = view.turn.T.astype(np.float32)
    corners = _corners(sheets, 1)
    counts = [len(triangles(*s.points.shape[:2])) for s in sheets]
    return Surface(
        np.concatenate(points) @ rotation,
        np.concatenate(normals) @ rotation,
        np.concatenate([s.uv.reshape(-1, 2) for s in sheets]),
        np.concatenate([s.open.ravel() for s in sheets]),
        corners,
        np.repeat([int(s.material) for s in sheets], counts).astype(np.uint8),
    )


def _corners(sheets: list[Sheet], step: int) -> np.ndarray:
    begins = np.cumsum([0, *(s.points[..., 0].size for s in sheets[:-1])])
    return np.concatenate(
        [triangles(*s.points.shape[:2], step) + np.int32(b) for s, b in zip(sheets, begins, strict=True)]
    )


def see(surface: Surface, view: View, fit: tuple[complex, complex], sheets: list[Sheet], side: int) -> Visible:
    """The visible part of the surface in an aligned picture of ``side`` pixels."""
    factor, shift = _pixel_fit(fit, side)
    screen = np.empty_like(surface.points)
    _to_screen(surface.points, view.distance_mm, (factor.real, factor.imag, shift.real, shift.imag), screen)
    thin = np.concatenate([s.thin.ravel() for s in sheets])
    closed = len(triangles(*sheets[0].points.shape[:2]))
    return rasterise(Mesh(screen, surface.triangles, surface.uv, thin, strands(), closed), side)


@kernel
def _to_screen(points, distance_mm, fit, screen):
    """``View.project`` and ``aligned`` in one, for the many points of a surface."""
    re, im, right, down = fit
    for v in range(len(points)):
        near = distance_mm / (distance_mm - points[v, 2])
        x, y = points[v, 0] * near, points[v, 1] * near
        screen[v, 0] = re * x - im * y + right
        screen[v, 1] = im * x + re * y + down
        screen[v, 2] = points[v, 2]


def shadow_map(surface: Surface, sheets: list[Sheet], key: Triple) -> Shadow:
    """The shadow map of the key light; hair is solid here."""
    across = np.cross(key, [0.0, 1.0, 0.2])
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(key, across), key]).astype(np.float32)  # rows: the light's right, down, towards
    scale = _SHADOW_PX / _SHADOW_MM
    screen = surface.points @ axes.T
    screen[:, :2] = screen[:, :2] * np.float32(scale) + np.float32(_SHADOW_PX / 2)
    solid = np.zeros(len(screen), np.float32)
    mesh = Mesh(screen, _corners(sheets, 4), surface.uv, solid, _NO_STRANDS, 0)
    right, down, toward = (triple(axis) for axis in axes)
    return Shadow(rasterise(mesh, _SHADOW_PX).depth, right, down, toward, scale)


def triple(values: np.ndarray) -> Triple:
    """An array of three numbers as a tuple of floats, for the kernels."""
    first, second, third = values.tolist()
    return first, second, third
