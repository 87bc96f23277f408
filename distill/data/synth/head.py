"""The head as one grid of points, and everything that can move them as a linear basis.

Canonical coordinates are the same for every person, so what is painted at them stays on its feature: ``t`` in
-1..1 goes round the head (0 is the middle of the face), ``b`` is the height in mm below the eyes of the mean head, and
``x`` in mm is the distance from the middle of the face. A person is the mean head plus a sum of the basis' fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from distill.data.synth.sheet import grid_normals

COLUMNS = 145
RADIUS_MM = 75.0
TOP_MM, BOTTOM_MM = -121.0, 200.0
LIP_LINE_MM, LIP_GAP_MM = 71.0, 0.3
MOUTH_HALF_MM = 25.0
EYE_X_MM = 31.5
NOSE_TIP_MM = 39.0


class Spot(NamedTuple):
    """A Gaussian field: middle and spread in canonical mm, shift in mm; mirrored to both sides unless x is 0."""

    x: float
    b: float
    spread_x: float
    spread_b: float
    right: float
    down: float
    forward: float


def azimuth(t: np.ndarray) -> np.ndarray:
    """The angle round the head in radians; the face has twice as many columns per degree as the back."""
    return np.pi * (0.52 * t + 0.48 * t**3)


def _rows() -> np.ndarray:
    """Heights of the grid's rows: dense where eyes, nose and mouth are, and two on the edges of the lips' gap."""
    knots = [TOP_MM, -110, -60, -26, -20, 14, 20, 34, 56, 64, LIP_LINE_MM - LIP_GAP_MM]
    steps = [3.5, 5.5, 4.2, 2, 1.6, 2, 2.6, 1.7, 2, 1.4]
    above = [np.arange(a, b - 0.3 * s, s) for a, b, s in zip(knots[:-1], knots[1:], steps, strict=True)]
    knots = [LIP_LINE_MM + LIP_GAP_MM, 82, 90, 122, 150, BOTTOM_MM]
    steps = [1.4, 2.1, 2.8, 6, 10]
    below = [np.arange(a, b - 0.3 * s, s) for a, b, s in zip(knots[:-1], knots[1:], steps, strict=True)]
    gap = [LIP_LINE_MM - LIP_GAP_MM, LIP_LINE_MM]
    return np.concatenate([*above, gap, *below, [BOTTOM_MM]])


B = _rows()
T = np.linspace(-1, 1, COLUMNS)
SIN, COS = np.sin(azimuth(T)), np.cos(azimuth(T))
X = RADIUS_MM * SIN
FRONT = np.clip((COS + 0.1) / 0.3, 0, 1)
"""1 on the face, 0 behind the ears."""
SHAPE = (len(B), COLUMNS)
UV = np.stack(np.broadcast_arrays(T[None, :], B[:, None]), -1).astype(np.float32)
SOLID = np.zeros(SHAPE, np.float32)
AZIMUTH = azimuth(T)

_PROFILE = np.array(
    [  # height, half-width, front and back depth
        (-121, 2, 4, 4),
        (-118, 18, 26, 26),
        (-113, 33, 47, 48),
        (-104, 48, 66, 70),
        (-92, 58, 79, 84),
        (-75, 67, 89, 95),
        (-55, 72, 94.5, 100),
        (-35, 73, 96, 102),
        (-15, 72, 95.5, 99),
        (5, 70.5, 94, 92),
        (25, 68.5, 92, 83),
        (45, 65, 90, 73),
        (65, 60, 89, 66),
        (80, 54.5, 88, 62),
        (95, 47.5, 86, 60),
        (112, 40, 84, 58),
        (236, 30, 60, 50),
    ]
)
_JAW = np.array([(0, 117), (15, 116), (28, 112), (42, 104), (58, 94), (75, 83), (95, 73), (130, 70), (180, 70)])
"""Height of the jaw's lower edge by degrees from the middle."""
_JAW_ROUND_MM = 22.0
_NECK = np.array(
    [(50, 48, 46, 60), (110, 48, 48, 60), (150, 53, 50, 62), (168, 66, 54, 66), (190, 120, 62, 74), (236, 190, 74, 84)]
)
_NECK_BACK_MM = 12.0


@cache
def mean_head() -> np.ndarray:
    """The points [r c 3] in mm of the mean head without features: skull, jaw, neck and shoulders."""
    skull, neck = _skull(), _neck()
    skull_reach, neck_reach = (np.hypot(p[..., 0], p[..., 2])[..., None] for p in (skull, neck))
    # logistic blend over 4 mm, clipped so that exp cannot overflow
    share = 1 / (1 + np.exp(np.clip((neck_reach - skull_reach) / 4.0, -40, 40)))
    share[B < 40] = 1
    joined = share * skull + (1 - share) * neck
    rounded = cv2.GaussianBlur(joined, (9, 9), 1.8, borderType=cv2.BORDER_REPLICATE)
    rounded[..., 1] = joined[..., 1]
    soft = np.clip((B - 75) / 20, 0, 1)[:, None, None]
    return (1 - soft) * joined + soft * rounded + _sum_of(MEAN_FEATURES)


def _skull() -> np.ndarray:
    width, front, back = (_smooth_table(_PROFILE[:, 0], _PROFILE[:, i]) for i in (1, 2, 3))
    edge = np.interp(np.degrees(np.abs(azimuth(T))), _JAW[:, 0], _JAW[:, 1])
    below = np.clip((B[:, None] - edge + _JAW_ROUND_MM) / _JAW_ROUND_MM, 0, 1.02)
    tuck = np.sqrt(1 - 0.96 * below**2)
    depth = np.where(COS > 0, front[:, None], back[:, None]) * COS
    return np.stack([width[:, None] * SIN * tuck, np.broadcast_to(B[:, None], SHAPE), depth * tuck], -1)


def _neck() -> np.ndarray:
    width, front, back = (_smooth_table(_NECK[:, 0], _NECK[:, i]) for i in (1, 2, 3))
    depth = np.where(COS > 0, front[:, None], back[:, None]) * COS - _NECK_BACK_MM
    return np.stack([width[:, None] * SIN, np.broadcast_to(B[:, None], SHAPE), depth], -1)


def _smooth_table(heights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A table at the grid's rows, its corners rounded over some 6 mm."""
    fine = np.arange(TOP_MM, BOTTOM_MM + 1)
    kernel = np.exp(-0.5 * (np.arange(-12, 13) / 4.0) ** 2)
    padded = np.interp(np.arange(fine[0] - 12, fine[-1] + 13), heights, values)
    smooth = np.convolve(padded, kernel / kernel.sum(), "valid")
    crown = np.clip((B - TOP_MM) / 25, 0, 1)
    return crown * np.interp(B, fine, smooth) + (1 - crown) * np.interp(B, heights, values)


def spot_weight(spot: Spot, side: float) -> np.ndarray:
    """A spot's Gaussian [r c] on the left (-1) or right (1) of the face."""
    across = (X - side * spot.x) / spot.spread_x
    along = (B - spot.b) / spot.spread_b
    return np.exp(-0.5 * along**2)[:, None] * (np.exp(-0.5 * across**2) * FRONT)[None, :]


def field(*spots: Spot) -> np.ndarray:
    """The shift [r c 3] float32 that spots make together."""
    return _sum_of(spots).astype(np.float32)


def _sum_of(spots: tuple[Spot, ...]) -> np.ndarray:
    total = np.zeros((*SHAPE, 3))
    for spot in spots:
        for side in (-1.0, 1.0) if spot.x else (1.0,):
            shift = np.array([side * spot.right, spot.down, spot.forward])
            total += spot_weight(spot, side)[..., None] * shift
    return total


MEAN_FEATURES = (
    Spot(22, -17, 15, 6, 0, 0, 3.0),  # brow ridge
    Spot(0, -14, 9, 7, 0, 0, 2.0),
    Spot(EYE_X_MM, 0, 13, 10, 0, 0, -10.0),  # sockets
    Spot(15, -2, 5.5, 8, 0, 0, -6.5),
    Spot(EYE_X_MM, 0, 9.5, 7.5, 0, 0, 7.0),  # eyeballs
    Spot(EYE_X_MM, 14, 14, 4, 0, 0, -1.5),  # below the lower lids
    Spot(0, 3, 6.5, 11, 0, 0, 6.5),  # nose: bridge, ridge, tip, wings
    Spot(0, 20, 7.0, 11, 0, 0, 10.5),
    Spot(0, 33, 8.0, 9, 0, 0, 9.5),
    Spot(0, 39.5, 7.5, 6.2, 0, 0, 11.0),
    Spot(0, 47, 4.5, 3.5, 0, 0, 6.0),
    Spot(12.0, 42.5, 4.4, 4.4, 1.0, 0, 9.0),
    Spot(18.0, 42, 2.4, 6.0, 0, 0, -3.0),
    Spot(6.5, 48.5, 3.0, 2.2, 0, 0, -4.0),  # nostrils
    Spot(42, 22, 16, 12, 0, 0, 5.0),  # cheekbones
    Spot(43, 55, 13, 15, 0, 0, -3.0),
    Spot(27, 56, 5, 13, 0, 0, -1.6),  # fold from nose to mouth
    Spot(0, 67, 22, 17, 0, 0, 6.0),  # mouth
    Spot(0, 58, 2.6, 6, 0, 0, -1.3),
    Spot(5, 59, 2.2, 6, 0, 0, 0.5),
    Spot(0, 66.5, 14, 3.6, 0, 0, 3.4),
    Spot(0, 71.0, 20, 1.5, 0, 0, -2.6),
    Spot(0, 76.5, 13, 4.0, 0, 0, 4.2),
    Spot(25, 72, 4, 5, 0, 0, -2.5),
    Spot(0, 86.5, 15, 4.5, 0, 0, -4.0),
    Spot(0, 103, 13, 9, 0, 0, 6.0),  # chin
    Spot(62, -28, 12, 20, 0, 0, -2.0),  # temples
    Spot(30, -50, 20, 16, 0, 0, 1.5),  # forehead
)


def girdle(b: float, spread: float, side: float, front: float) -> np.ndarray:
    """A ring round the head made wider by ``side`` and deeper by ``front`` mm: [r c 3]."""
    weight = np.exp(-0.5 * ((B - b) / spread) ** 2)[:, None]
    depth = np.where(COS > 0, COS, 0)
    return np.stack([weight * side * SIN, 0 * weight * SIN, weight * front * depth], -1)


def stretch(begin: float, end: float, down: float) -> np.ndarray:
    """Shift of everything below ``end`` downwards, from 0 above ``begin``: [r c 3]."""
    share = np.clip((B - begin) / (end - begin), 0, 1)
    share = share * share * (3 - 2 * share)
    shift = np.zeros((*SHAPE, 3))
    shift[..., 1] = down * share[:, None]  # (r, 1), the same all round the head
    return shift


def jaw_opening() -> np.ndarray:
    """The lower lip and chin moved down by a mm at the middle; the gap between the lips is the row between: [r c 3]."""
    corner = np.clip(1 - (X / (MOUTH_HALF_MM + 1.0)) ** 2, 0, 1) ** 0.6 * (COS > 0)
    below_lip = np.where(B > LIP_LINE_MM, 1.0, np.where(B == LIP_LINE_MM, 0.5, 0.0))
    ramp = np.clip((B - 62) / 22, 0, 1) ** 1.5
    cheek = np.clip(1.25 - np.abs(X) / 60, 0, 1) * (COS > 0)
    lower = np.clip((150 - B) / 60, 0, 1)
    share = below_lip[:, None] * corner + (ramp[:, None] * (1 - corner)) * cheek
    shift = np.zeros((*SHAPE, 3))
    shift[..., 1] = share * lower[:, None]
    shift[..., 2] = -0.28 * share * lower[:, None]
    return shift.astype(np.float32)


def combine(base: np.ndarray, fields: Mapping[str, np.ndarray], amounts: Mapping[str, float]) -> np.ndarray:
    """``base`` [r c 3] plus each named field times its amount."""
    points = base.copy()
    for name, amount in amounts.items():
        if amount:
            points += np.float32(amount) * fields[name]
    return points


def at(points: np.ndarray, x: float, b: float) -> np.ndarray:
    """The point [3] of a head [r c 3] at canonical (x, b) on the face."""
    return at_angle(points, np.arcsin(x / RADIUS_MM), b)


def at_angle(points: np.ndarray, angle: float, b: float) -> np.ndarray:
    """The point [3] of a head [r c 3] at an angle in radians from the middle of the face and a canonical height."""
    column = np.interp(angle, AZIMUTH, np.arange(COLUMNS))
    row = np.interp(b, B, np.arange(len(B)))
    r, c = min(int(row), len(B) - 2), min(int(column), COLUMNS - 2)
    fr, fc = row - r, column - c
    upper = (1 - fc) * points[r, c] + fc * points[r, c + 1]
    lower = (1 - fc) * points[r + 1, c] + fc * points[r + 1, c + 1]
    return (1 - fr) * upper + fr * lower


def openness(points: np.ndarray) -> np.ndarray:
    """Ambient light that reaches each point [r c] of a head, 0..1: less in hollows and below the chin."""
    normals = grid_normals(np.ascontiguousarray(points, np.float32))
    hidden = np.zeros(points.shape[:2], np.float32)
    for size, weight in ((5, 0.16), (13, 0.075), (31, 0.02)):
        # mm by which the surroundings lie further out
        hollow = ((cv2.blur(points, (size, size), borderType=cv2.BORDER_REPLICATE) - points) * normals).sum(-1)
        hidden += weight * np.clip(hollow, -0.6, 8)
    return np.clip(1 - hidden, 0.3, 1).astype(np.float32)


EXPRESSIONS: dict[str, np.ndarray] = {
    "smile": field(Spot(26, 71, 9, 8, 4.5, -4.0, -2.5), Spot(40, 44, 14, 11, 1.0, -2.5, 3.0)),
    "open": jaw_opening(),
    "frown": field(Spot(26, 72, 9, 8, -1.0, 3.5, 0)),
    "pucker": field(Spot(25, 71, 10, 8, -4.0, 0, 1.0), Spot(0, 70, 12, 8, 0, 0, 2.5)),
    "brows up": field(Spot(28, -19, 19, 8, 0, -4.0, 0.4)),
    "brows knit": field(Spot(14, -17, 8, 7, -2.2, 2.2, 0.9)),
    "squint": field(Spot(EYE_X_MM, 12, 12, 5, 0, -1.4, 1.0)),
    "mouth aside": field(Spot(0, 73, 16, 10, 2.5, 0, 0)),
}
"""Shifts [r c 3] in mm of one unit of each movement of the face; ``open`` is in mm of the lower lip."""
