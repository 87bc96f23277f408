"""Ears, glasses, masks and scarves: sheets placed on a finished head."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from distill.data.synth import head
from distill.data.synth.sheet import Material, Sheet

_AROUND = 6


@dataclass(frozen=True)
class EarShape:
    """Lengths in mm; ``angle`` in radians is that between ear and head."""

    height: float
    width: float
    angle: float
    drop: float
    lobe: float


def ears(points: np.ndarray, shape: EarShape) -> list[Sheet]:
    """Both ears, on a head of ``points`` [r c 3]."""
    return [_ear(points, shape, side) for side in (-1.0, 1.0)]


def _ear(points: np.ndarray, shape: EarShape, side: float) -> Sheet:
    p, q = np.meshgrid(np.linspace(0, 1, 13), np.linspace(-1, 1, 17))
    root = head.at_angle(points, side * np.radians(93), 20 + shape.drop)
    reach = shape.width * np.clip(1 - np.abs(q) ** 2.6, 0, 1) ** 0.6 * (0.86 - 0.22 * q + shape.lobe * (q > 0.55))
    rim = np.exp(-(((p - 0.9) / 0.09) ** 2)) + np.exp(-(((q + 0.9) / 0.12) ** 2))
    bowl = np.exp(-(((p - 0.38) / 0.22) ** 2) - ((q - 0.12) / 0.38) ** 2)
    fold = np.exp(-(((p - 0.66) / 0.1) ** 2)) * (np.abs(q) < 0.7)
    tragus = np.exp(-(((p - 0.06) / 0.1) ** 2) - ((q - 0.15) / 0.2) ** 2)
    lift = 2.6 * rim + 1.8 * fold - 4.5 * bowl + 3.0 * tragus + 1.5
    back, out = np.sin(shape.angle), np.cos(shape.angle)
    along = p * reach
    grid = np.stack(
        [
            root[0] + side * (along * back + lift * out - 2.0),
            root[1] + q * shape.height / 2 + 0.10 * along * -1,
            root[2] - along * out + lift * back - 0.12 * q * shape.height,
        ],
        -1,
    )
    open_ = np.clip(0.95 - 0.8 * bowl - 0.4 * np.exp(-(((p - 0.78) / 0.07) ** 2)), 0.2, 1)
    return _solid(grid, open_, Material.ear)


def _solid(grid: np.ndarray, open_: np.ndarray, material: Material) -> Sheet:
    shape = grid.shape[:2]
    zeros = np.zeros((*shape, 2), np.float32)
    return Sheet(grid.astype(np.float32), zeros, zeros[..., 0], open_.astype(np.float32), material)


@dataclass(frozen=True)
class Glasses:
    """Lengths in mm; ``square`` from 2 (ellipse) to 6 (rectangle) is the exponent of the rims' outline."""

    half_width: float
    half_height: float
    square: float
    wire: float
    drop: float


def glasses(points: np.ndarray, shape: Glasses) -> list[Sheet]:
    """Rims, bridge and temples, resting on the nose of a head of ``points`` [r c 3]."""
    bridge = head.at(points, 0, 2 + shape.drop)
    eyes = [head.at(points, side * head.EYE_X_MM, 0) for side in (-1, 1)]
    depth = max(bridge[2] + 1.5, *(eye[2] + 9 for eye in eyes))
    rims = [_tube(_rim(shape, eye[0], eye[1] + shape.drop, depth), shape.wire) for eye in eyes]
    inner = max(3.0, abs(eyes[1][0]) - shape.half_width)
    s = np.linspace(-1, 1, 9)
    height = np.full(9, (eyes[0][1] + eyes[1][1]) / 2 + shape.drop - 0.3 * shape.half_height)
    arch = _tube(np.stack([inner * s, height - 1.6 * (1 - s**2), depth + 1.0 - 0 * s], -1), shape.wire)
    temples = [_tube(_temple(points, shape, eye, depth), shape.wire) for eye in eyes]
    return [*rims, arch, *temples]


def _rim(shape: Glasses, x: float, y: float, z: float) -> np.ndarray:
    """A closed outline [n 3], wrapping a little round the face."""
    angle = np.linspace(0, 2 * np.pi, 37)
    across = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / shape.square) * shape.half_width
    down = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / shape.square) * shape.half_height
    rounded = np.abs(x + across)
    return np.stack([x + across, y + down - 0.03 * np.abs(across), z - 0.0016 * rounded**2], -1)


def _temple(points: np.ndarray, shape: Glasses, eye: np.ndarray, depth: float) -> np.ndarray:
    side = np.sign(eye[0])
    hinge_x = abs(eye[0]) + shape.half_width
    ear = head.at_angle(points, side * np.radians(96), -4)
    s = np.linspace(0, 1, 9)
    x = side * (hinge_x + (max(abs(ear[0]) + 2.0, hinge_x) - hinge_x) * s**0.7)
    hinge_y = eye[1] + shape.drop - 0.45 * shape.half_height
    hinge_z = depth - 0.0016 * hinge_x**2
    return np.stack([x, hinge_y + (ear[1] - hinge_y) * s, hinge_z + (ear[2] - 6 - hinge_z) * s], -1)


def _tube(line: np.ndarray, radius: float) -> Sheet:
    """A round wire along a line [n 3]."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9  # (n, 3) unit tangents
    # an odd direction, to which no part of a pair of glasses is parallel: a parallel one would give a zero cross
    # product
    first = np.cross(along, np.array([0.13, 0.31, 0.94]))
    first /= np.linalg.norm(first, axis=1, keepdims=True) + 1e-9
    second = np.cross(along, first)
    angle = np.linspace(0, 2 * np.pi, _AROUND)[None, :, None]
    grid = line[:, None] + radius * (np.cos(angle) * first[:, None] + np.sin(angle) * second[:, None])  # (n, around, 3)
    return _solid(grid, np.full(grid.shape[:2], 0.9), Material.frame)


def lenses(points: np.ndarray, shape: Glasses) -> list[np.ndarray]:
    """The outlines [n 3] in mm of both lenses."""
    bridge = head.at(points, 0, 2 + shape.drop)
    eyes = [head.at(points, side * head.EYE_X_MM, 0) for side in (-1, 1)]
    depth = max(bridge[2] + 1.5, *(eye[2] + 9 for eye in eyes))
    return [_rim(shape, eye[0], eye[1] + shape.drop, depth) for eye in eyes]


def mask(points: np.ndarray, thick_mm: float) -> Sheet:
    """A cloth mask over nose, mouth and chin, drawn taut: [r c 3] of the head's own grid, smoothed and lifted."""
    rows, columns = np.flatnonzero((head.B > 22) & (head.B < 128)), np.flatnonzero(np.abs(head.T) < 0.46)
    taut = points.copy()
    for size in ((15, 31), (21, 25)):
        taut = np.maximum(cv2.blur(taut, size, borderType=cv2.BORDER_REPLICATE), points * [0, 0, 1])
    taut[..., :2] = points[..., :2]
    part = taut[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shift = part - np.array([0, 60, 0])
    lifted = part + thick_mm * shift / np.linalg.norm(shift, axis=-1, keepdims=True)
    s, t = np.linspace(-1, 1, len(columns))[None], np.linspace(0, 1, len(rows))[:, None]
    lifted[..., 1] += 16 * s**2 * (1 - t) - 18 * s**2 * t
    pleats = 0.8 * np.sin(22 * t) * (1 - s**2)
    lifted[..., 2] += pleats
    return _solid(lifted, 0.95 + 0.15 * np.cos(22 * t) * (1 - s**2), Material.cloth)


def muffler(points: np.ndarray, thick_mm: float) -> Sheet:
    """A scarf around the neck up to the lips."""
    rows = np.flatnonzero((head.B > 78) & (head.B < 190))
    angle, t = head.AZIMUTH, np.linspace(0, 1, len(rows))[:, None]
    edge = 82 + 12 * np.cos(angle)
    fold = np.sin(9 * t + 1.5 * np.sin(2 * angle)) + 0.5 * np.sin(17 * t + 3 * angle)
    reach = thick_mm * (1 + 0.25 * fold) * np.clip(6 * t, 0.2, 1) ** 0.5
    grid = np.stack(
        [
            (56 + 12 * t + reach) * np.sin(angle),
            edge + (190 - edge) * t,
            np.where(np.cos(angle) > 0, 80 + 6 * t + reach, 62 + reach) * np.cos(angle) - 6,
        ],
        -1,
    )
    return _solid(grid, 0.72 + 0.22 * fold / 1.5, Material.cloth)
