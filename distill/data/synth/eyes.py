"""Eyes, computed analytically where the head's surface bulges over the eyeball: sharp at any picture size.

Local coordinates of an eye are mm from its middle: ``x`` towards the temple, ``y`` down.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from distill.compiled import inlined


class Eye(NamedTuple):
    """One eye of one picture; lengths in mm, colours linear RGB, shares 0..1."""

    half_width: float
    upper: float
    lower: float
    tilt: float
    skew: float
    gaze_x: float
    gaze_y: float
    iris_mm: float
    pupil_mm: float
    fold_mm: float
    fold: float
    lash: float
    shadow: float
    iris: tuple[float, float, float]
    white: tuple[float, float, float]
    paint: tuple[float, float, float]


@inlined
def smooth(low, high, value):
    """0 below ``low``, 1 above ``high``, smooth between."""
    s = min(max((value - low) / (high - low), 0.0), 1.0)
    return s * s * (3.0 - 2.0 * s)


@inlined
def lids(eye, x):
    """Heights of the upper and the lower lid at ``x``, in mm down; they meet in the corners."""
    s = x / eye.half_width
    if s <= -1.0 or s >= 1.0:
        return eye.tilt * -s, eye.tilt * -s
    lifted = s + eye.skew * (1.0 - s * s)
    top = -eye.upper * (1.0 - lifted * lifted) ** 0.72
    bottom = eye.lower * (1.0 - s * s) ** 0.85
    return top - eye.tilt * s, bottom - eye.tilt * s


@inlined
def eyeball(eye, x, y, top, bottom, rgb):
    """Write the colour of the eyeball at (x, y) mm into ``rgb`` [3]: white, iris, pupil, and the upper lid's shadow."""
    dx, dy = x - eye.gaze_x, y - eye.gaze_y
    r = np.sqrt(dx * dx + dy * dy)
    inside = 1.0 - smooth(eye.iris_mm - 0.35, eye.iris_mm + 0.35, r)
    pupil = 1.0 - smooth(eye.pupil_mm - 0.3, eye.pupil_mm + 0.3, r)
    ring = 0.35 + 0.65 * (1.0 - smooth(0.72 * eye.iris_mm, eye.iris_mm, r))
    rays = 0.85 + 0.15 * np.sin(17.0 * np.arctan2(dy, dx)) + 0.45 * max(0.0, dy / eye.iris_mm)
    shade = 0.42 + 0.58 * smooth(-0.4, 3.4, y - top)
    corner = 1.0 - 0.4 * smooth(0.55, 1.0, abs(x) / eye.half_width)
    tear = smooth(0.80, 0.93, -x / eye.half_width)
    wet = 0.35 * np.exp(-((y - bottom + 0.3) ** 2) / 0.18)
    window = np.exp(-((dx + 1.9) ** 2 + (dy + 2.2) ** 2) / 0.9) * shade
    for c in range(3):
        ball = eye.white[c] * corner
        iris = eye.iris[c] * ring * rays * (1.0 - pupil) + 0.006
        colour = ball + inside * (iris - ball)
        flesh = eye.white[c] * (0.75 if c == 0 else 0.45)
        rgb[c] = (colour + tear * (flesh - colour)) * shade + wet * 0.12 + 0.8 * window


@inlined
def eyelid(eye, x, y, top, bottom, rgb):
    """Darken the skin's colour ``rgb`` [3] round an eye: lashes, the lid's fold, paint."""
    s = abs(x) / eye.half_width
    if s > 1.5:
        return
    fade = 1.0 - smooth(0.95, 1.2, s)
    outer = smooth(-0.6, 1.0, x / eye.half_width)
    thick = (0.55 + 0.7 * outer) * (0.55 + eye.lash)
    lashes = fade * (0.75 + 0.25 * outer) * (1.0 - smooth(0.45 * thick, 1.15 * thick + 0.25, top - y)) * (y < top)
    lower = 0.30 * (0.4 + eye.lash) * fade * (1.0 - smooth(0.2, 1.2, y - bottom)) * (y > bottom)
    fold_y = top - eye.fold_mm * (0.75 + 0.25 * outer)
    fold = eye.fold * (1.0 - smooth(0.95, 1.3, s)) * np.exp(-(((y - fold_y) / 0.75) ** 2))
    paint = eye.shadow * (1.0 - smooth(0.9, 1.4, s)) * smooth(-11.0, -4.0, y - top) * (y < top)
    for c in range(3):
        colour = rgb[c] + paint * (eye.paint[c] - rgb[c])
        colour *= 1.0 - 0.5 * fold
        colour *= 1.0 - min(0.97, lashes)
        rgb[c] = colour * (1.0 - lower)
