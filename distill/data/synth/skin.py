"""A person's skin, painted once: its colour, and masks of brows, lips, beard, scalp and blush."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np

from distill.data.synth import texture
from distill.data.synth.head import EYE_X_MM, LIP_LINE_MM, MOUTH_HALF_MM
from distill.data.synth.identity import Person
from distill.data.synth.streams import Purpose
from distill.data.synth.texture import COS, B, X, blobs, noise, stroke, strokes

CHANNELS = 9
_TONES = np.array([(240, 214, 200), (228, 192, 170), (206, 163, 134), (168, 122, 94), (122, 84, 64), (82, 57, 46)])


_BLOOD = ((0.7, 40, 30, 17, 14), (0.8, 0, 42, 11, 10), (0.35, 0, 103, 14, 9), (-0.25, 0, -52, 30, 14))
_SHADE = (
    (0.10, EYE_X_MM, -7, 14, 4.5),
    (0.05, 0, 88, 14, 4),
    (0.75, 6.3, 48.3, 2.4, 1.4),  # nostrils, and the grooves of the nose
    (0.22, 17.5, 43, 1.5, 4.5),
    (0.12, 0, 50.5, 9, 1.5),
)
"""Where blood is near the surface, and what is dark: (share, x, b, spreads) in canonical mm."""


class Layer(IntEnum):
    """Layers over the skin, by their position."""

    brow = 0
    lips = 1
    moustache = 2
    beard = 3
    scalp = 4
    blush = 5


@dataclass(frozen=True)
class Hairline:
    """The hairline: its height at the middle in canonical mm, and by how many mm the temples recede."""

    middle_mm: float
    recede_mm: float

    def at(self, degrees: np.ndarray) -> np.ndarray:
        """Its height in mm by degrees from the middle of the face, 0..180."""
        knots = [0, 20, 38, 52, 62, 72, 80, 88, 104, 112, 125, 180]
        m, r = self.middle_mm, self.recede_mm
        heights = [m, m - 0.3 * r, m - r + 2, m + 12 - r, m + 30, m + 52, 8, -6, -14, 10, 66, 72]
        return np.interp(degrees, knots, heights)


def tone_colour(tone: float) -> np.ndarray:
    """sRGB [3] of skin in 0..255 by tone 0..1."""
    return np.array([np.interp(tone * 5, range(6), _TONES[:, c]) for c in range(3)])


def paint(person: Person, hairline: Hairline) -> np.ndarray:
    """The texture uint8 [h w 9]: sRGB skin, then the share of each ``Layer``."""
    rng = person.key.stream(Purpose.skin)
    features = person.key.stream(Purpose.features)
    canvas = np.empty((texture.HEIGHT, texture.WIDTH, CHANNELS), np.uint8)
    canvas[..., :3] = _skin(person, rng)
    grain = _grain(rng)
    layers = {
        Layer.brow: _brows(person, features),
        Layer.lips: _lips(person, features),
        Layer.moustache: _moustache() * grain,
        Layer.beard: _beard(features) * grain,
        Layer.scalp: _scalp(hairline, rng) * grain,
        Layer.blush: blobs((255, 42, 32, 14, 12)),
    }
    for layer, share in layers.items():
        canvas[..., 3 + layer] = share
    return canvas


def _skin(person: Person, rng: np.random.Generator) -> np.ndarray:
    """Red where blood is near, dark where it is thin, mottled, freckled and lined: float32 [h w 3] in 0..255."""
    redness, yellow = rng.normal(0, 1), rng.normal(0, 1)
    colour = tone_colour(person.tone) + redness * np.array([3, -4, -3]) + yellow * np.array([1, 1, -6])
    warm = np.float32((0.8 + 0.3 * rng.random()) * (1 - 0.6 * person.tone))
    blood = warm * (blobs(*_BLOOD) + 0.16 * noise(rng, 14, 26) + 0.08 * noise(rng, 40, 80))
    mottled = 0.022 * noise(rng, 10, 18) + 0.014 * noise(rng, 36, 44) + 0.011 * noise(rng, 160, 140)
    rings = 0.10 + 0.10 * rng.random()
    shade = mottled * np.float32(0.6 + 0.7 * person.old + 0.9 * rng.random() ** 2)
    shade -= blobs(*_SHADE, (rings, EYE_X_MM, 9, 13, 5), (0.8 * rings, 17, 1, 5, 7))
    shade -= _marks(person, rng) / np.float32(255)
    skin = (1 + shade[..., None]) * colour.astype(np.float32) + blood[..., None] * np.array([5, -13, -11], np.float32)
    return np.clip(skin, 0, 255)


def _marks(person: Person, rng: np.random.Generator) -> np.ndarray:
    """Freckles, moles and lines, as darkness float32 [h w] in 0..255."""
    marks = np.zeros((texture.HEIGHT, texture.WIDTH), np.uint8)
    if rng.random() < 0.3 * (1 - person.tone):
        for x, b in rng.normal((0, 24), (30, 16), (int(rng.integers(30, 130)), 2)):
            _dot(marks, x, b, 22 + 22 * rng.random(), 0.5)
    for x, b in rng.uniform((-62, -50), (62, 100), (rng.poisson(2.0), 2)):
        _dot(marks, x, b, 70 + 60 * rng.random(), 1.0)
    lined = cv2.GaussianBlur(_lines(person, rng), (0, 0), 0.9)
    return marks + np.float32(0.25 + 1.1 * person.old) * lined


def _dot(canvas: np.ndarray, x: float, b: float, value: float, radius_px: float) -> None:
    column, row = (texture.place(np.array(x), np.array(b)) * 16).astype(int).tolist()
    cv2.circle(canvas, (column, row), int(radius_px * 16), int(value), -1, cv2.LINE_AA, 4)


def _lines(person: Person, rng: np.random.Generator) -> np.ndarray:
    """The lines of age, uint8 [h w]: on the forehead, beside eyes, below them, from nose to mouth."""
    lines = np.zeros((texture.HEIGHT, texture.WIDTH), np.uint8)
    s = np.linspace(0, 1, 9)
    for b in rng.normal((-38, -46, -54), 1.5):
        x = np.linspace(-34, 34, 15) * rng.uniform(0.7, 1.1)
        stroke(lines, x, b + 2.5 * np.cos(x / 14 + rng.normal(0, 0.4)), 55 * person.old)
    for side in (-1, 1):
        for angle in rng.normal((-0.35, 0, 0.35), 0.1):
            reach = rng.uniform(6, 11)
            stroke(lines, side * (49 + s * reach), 1 + angle * s * reach, 60 * person.old)
        for drop, value in ((9.5, 60), (13.0, 50)):
            x = np.linspace(-11, 13, 9)
            stroke(lines, side * (EYE_X_MM + x), drop - 0.022 * x**2, value * rng.uniform(0.5, 1.1), 2)
        x = 17 + 13 * s**0.8
        stroke(lines, side * x, 42 + 28 * s, (22 + 70 * person.old) * rng.uniform(0.6, 1.2), 2)
        stroke(lines, side * (4 + 0.8 * rng.normal()) * np.ones(3), np.array([-23, -19, -14]), 60 * person.old, 2)
    return lines


def _brows(person: Person, rng: np.random.Generator) -> np.ndarray:
    """Single hairs along an arch, uint8 [h w]; shape, thickness and density are the person's."""
    hairs = np.zeros((texture.HEIGHT, texture.WIDTH), np.uint8)
    thick = np.clip(rng.normal(4.8 + 2.0 * (person.male - 0.5), 1.5), 2.2, 9.0)
    arch, peak = np.clip(rng.normal(4.0 - 2.0 * (person.male - 0.5), 1.8), 0, 8), rng.uniform(0.5, 0.78)
    begin, end, low = rng.normal(11.5, 2.8), rng.normal(50, 3.2), rng.normal(-16.5, 2.1)
    slant, count = rng.normal(0, 2.0), int(np.clip(rng.normal(210, 55) * thick / 4.5, 70, 420))
    for side in (-1, 1):
        s = np.sort(rng.random(count))
        offset = rng.uniform(-0.5, 0.5, count)
        rise = np.where(s < peak, s / peak, 1 - 0.9 * (np.maximum(s - peak, 0) / (1 - peak)) ** 1.5)
        x = begin + (end - begin) * s
        width = thick * np.clip(1.15 - 0.75 * s**2, 0.25, 1) * np.clip(0.6 + 4 * s, 0, 1)
        b = low - arch * rise - slant * (s - 0.5) * 2 + offset * width
        lean = np.interp(s, [0, 0.25, 0.6, 1], [-1.2, -0.75, -0.15, 0.35])
        length = rng.uniform(3.0, 5.5, count)
        ends = np.array([0.0, 1.0])[None] * length[:, None]
        across, down = x[:, None] + ends * np.cos(lean)[:, None], b[:, None] + ends * np.sin(lean)[:, None]
        for dark, rows in enumerate(np.array_split(np.argsort(offset), 4)):
            strokes(hairs, side * across[rows], down[rows], 150 + 26 * dark)
    full = rng.uniform(0.7, 1.7)
    solid = cv2.GaussianBlur(hairs, (0, 0), 1.2)
    return np.maximum(0.9 * hairs, np.minimum(full * solid, 240))


def _lips(person: Person, rng: np.random.Generator) -> np.ndarray:
    """The red of the lips with its bow, float32 [h w] in 0..255."""
    upper, lower = np.clip(rng.normal((7.0, 8.6), 1.2), 4.0, 11.0)
    bow, round_ = rng.uniform(0.4, 1.3), rng.uniform(0.55, 0.9)
    across = np.clip(1 - (X / MOUTH_HALF_MM) ** 2, 0, 1) * (COS > 0)
    top = upper * (across**round_ + 0.14 * bow * (_bell(np.abs(X) - 6, 4) - 1.3 * _bell(X, 3.2)))
    bottom = lower * across ** (round_ - 0.05)
    soft = 1.4
    above = np.clip((B[:, None] - (LIP_LINE_MM - top)) / soft + 0.5, 0, 1)
    below = np.clip((LIP_LINE_MM + bottom - B[:, None]) / soft + 0.5, 0, 1)
    creases = 1 + np.float32(0.1) * noise(rng, 6, 200)
    return np.clip((255 * np.clip(across * 6, 0, 1)) * above * below * creases, 0, 255)


def _bell(x: np.ndarray, spread: float) -> np.ndarray:
    return np.exp(-0.5 * (x / spread) ** 2)


def _grain(rng: np.random.Generator) -> np.ndarray:
    """Short hairs as a pattern [h w] float32 in 0.4..1."""
    fine = cv2.GaussianBlur(rng.random((texture.HEIGHT, texture.WIDTH), np.float32), (3, 7), 0.8)
    return np.clip(0.8 + 1.5 * (fine - 0.5), 0.5, 1)


def _moustache() -> np.ndarray:
    """Between nose and lip, and round the mouth to the chin: float32 [h w] in 0..255."""
    edge = 21 + 0.16 * (B - 56)
    upper = np.clip((B - 51) / 5, 0, 1) * np.clip((65.5 - B) / 4, 0, 1)
    moustache = upper[:, None] * np.clip((edge[:, None] + 7 - np.abs(X)) / 11, 0, 1)
    ring = blobs((0.42, 30, 78, 5.5, 13), (1.0, 0, 104, 15, 11), (0.35, 0, 88, 4, 4))
    return 255 * np.clip(np.maximum(moustache, np.clip(ring * 1.3, 0, 1)), 0, 1)


def _beard(features: np.random.Generator) -> np.ndarray:
    """Cheeks, jaw and throat: float32 [h w] in 0..255."""
    degrees = np.degrees(np.abs(texture.azimuth(texture.T)))
    high = features.normal(0, 5)
    top = np.interp(degrees, [0, 18, 26, 45, 66, 78, 90, 100], [84, 84, 74, 66 + high, 44 + high, 4, -4, 60])
    full = np.clip((B[:, None] - top) / 7, 0, 1) * np.clip((95 - degrees) / 6, 0, 1)
    full = full * np.clip((132 - B[:, None]) / 14, 0, 1)
    return 255 * full


def _scalp(hairline: Hairline, rng: np.random.Generator) -> np.ndarray:
    """Mask of the hair on the head: float32 [h w] in 0..255."""
    line = hairline.at(np.degrees(np.abs(texture.azimuth(texture.T))))
    ragged = 3.0 * noise(rng, 24, 90)
    return 255 * np.clip((line - B[:, None] + ragged) / 7 + 0.3, 0, 1)
