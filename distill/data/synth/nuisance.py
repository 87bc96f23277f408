"""Variation between pictures of a person besides clothes and hair: pose, expression, gaze, light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distill.data.synth.scene import View, triple, turn
from distill.data.synth.shade import Light


@dataclass(frozen=True)
class Nuisance:
    """How hard the pictures are: ``strength`` 0 (passport) to 1 (everyday), and whether hair changes every time."""

    strength: float
    restyle: bool


MILD = Nuisance(0.25, restyle=False)
FULL = Nuisance(1.0, restyle=False)
EVERYDAY = Nuisance(1.0, restyle=True)
"""The setting of the data set: with fixed hair a network would learn hair."""


def draw_view(rng: np.random.Generator, strength: float) -> View:
    yaw = np.radians(np.clip(rng.normal(0, 20 * strength + 1), -50, 50))
    pitch = np.radians(np.clip(rng.normal(2, 8 * strength + 1), -24, 24))
    return View(turn(yaw, pitch), rng.uniform(650, 1600))


def draw_expression(rng: np.random.Generator, strength: float) -> dict[str, float]:
    """Amounts of ``head.EXPRESSIONS``."""
    s = strength
    smile = max(0.0, rng.normal(0.1, 0.6 * s))
    parted = rng.random() < 0.45 * s
    return {
        "smile": min(smile, 1.5),
        "open": float(parted) * (1.5 + rng.gamma(1.6, 2.2)) if rng.random() < 0.9 else 12.0 * s * rng.random(),
        "frown": max(0.0, rng.normal(-0.3, 0.5 * s)),
        "pucker": max(0.0, rng.normal(-0.5, 0.5 * s)),
        "brows up": rng.normal(0, 0.45 * s),
        "brows knit": max(0.0, rng.normal(-0.1, 0.5 * s)),
        "squint": float(np.clip(rng.normal(0.5 * smile, 0.4 * s), -0.3, 1.5)),
        "mouth aside": rng.normal(0, 0.5 * s),
    }


@dataclass(frozen=True)
class Look:
    """Gaze, as mm that the iris moves, and the share by which the upper lids are lowered."""

    right_mm: float
    down_mm: float
    lowered: float
    pupil_mm: float


def draw_look(rng: np.random.Generator, view: View, strength: float) -> Look:
    """Half of the people look into the camera, whichever way the head is turned."""
    ahead = view.turn.T @ np.array([0, 0, 1.0])
    watch = 1.0 if rng.random() < 0.5 else 0.2
    right, down = 9.5 * watch * ahead[0], 7 * watch * ahead[1]
    right, down = right + rng.normal(0, 1.2 * strength + 0.2), down + rng.normal(0, 0.5 * strength + 0.1)
    lowered = rng.beta(1.2, 5) * strength
    if rng.random() < 0.03 * strength:
        lowered = 1.0
    return Look(float(np.clip(right, -5, 5)), float(np.clip(down, -2.2, 2.2)), lowered, rng.uniform(1.6, 2.9))


def draw_light(rng: np.random.Generator, strength: float) -> Light:
    """A key light from up to 75 degrees aside, a fill, and light from around."""
    s = strength
    azimuth = np.radians(np.clip(rng.normal(0, 10 + 32 * s), -75, 75))
    height = np.radians(np.clip(rng.normal(30, 4 + 13 * s), -12, 58))
    key = _direction(azimuth, height)
    warmth = rng.normal(0, 0.02 + 0.075 * s)
    power = rng.uniform(0.75, 1.2) * (1 + 0.15 * abs(azimuth))
    around = rng.uniform(0.3, 0.62) if rng.random() < 0.75 else rng.uniform(0.16, 0.3) + 0.2 * (1 - s)
    sky = around * (1 + rng.normal(0, 0.02 + 0.05 * s, 3))
    colours = [
        power * np.array([1 + warmth, 1.0, 1 - 1.3 * warmth]),
        rng.uniform(0.05, 0.35) * np.array([1 - warmth, 1.0, 1 + warmth]),
        sky,
        sky * rng.uniform(0.35, 0.75) * np.array([1.06, 1.0, 0.92]),
    ]
    key_colour, fill_colour, above, below = (triple(colour) for colour in colours)
    fill = triple(_direction(-azimuth + rng.normal(0, 0.3), 0.15))
    return Light(triple(key), key_colour, fill, fill_colour, above, below)


def _direction(azimuth: float, height: float) -> np.ndarray:
    """The unit vector towards a light so many radians to the right and up."""
    return np.array([np.sin(azimuth) * np.cos(height), -np.sin(height), np.cos(azimuth) * np.cos(height)])
