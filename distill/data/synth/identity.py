"""Identities: a vector of traits per person, drawn once and the same in every picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from distill.data.synth import head
from distill.data.synth.head import EYE_X_MM, Spot
from distill.data.synth.streams import Key, Purpose

SHAPE_GAIN = 1.4
_MAX_SIGMA = 1.7


@dataclass(frozen=True)
class Person:
    """Sex runs from 0 (female) to 1 (male); ``age_years`` 16..80; ``tone`` from 0 (pale) to 1 (dark).

    ``shape`` are the amounts of ``fields()``, in standard deviations; ``region`` are the shares of loose populations.
    """

    key: Key
    male: float
    age_years: float
    tone: float
    region: np.ndarray
    shape: dict[str, float]

    @property
    def old(self) -> float:
        """0 below 30 years, 1 at 75."""
        return float(np.clip((self.age_years - 30) / 45, 0, 1))

    def traits(self) -> np.ndarray:
        """All numbers of the person that the face shows, as one vector [k]."""
        return np.array([self.male, self.age_years, self.tone, *self.region, *self.shape.values()])


# Loose populations: mean of skin tone, hair (0 blond .. 1 black), fold of the lid, nose's width, bridge, lips, jaw.
_REGIONS = np.array(
    [
        (0.08, 0.20, 0.9, -0.5, 0.6, -0.4, 0.0),
        (0.26, 0.60, 0.8, 0.0, 0.9, 0.0, 0.1),
        (0.30, 0.95, 0.2, 0.3, -0.9, 0.0, 0.4),
        (0.58, 0.93, 0.7, 0.4, 0.2, 0.5, -0.2),
        (0.85, 1.00, 0.7, 1.3, -0.9, 1.3, 0.0),
        (0.45, 0.90, 0.6, 0.3, 0.0, 0.3, 0.2),
    ]
)


def draw_person(key: Key) -> Person:
    """The person of one key."""
    rng = key.stream(Purpose.person)
    male = float(np.clip(rng.choice([0.12, 0.88]) + rng.normal(0, 0.12), 0, 1))
    age_years = float(np.clip(18 + 55 * rng.beta(1.3, 2.0), 17, 75))
    region = rng.dirichlet([0.32, 0.28, 0.22, 0.18, 0.22, 0.18])
    tone = float(np.clip(region @ _REGIONS[:, 0] + rng.normal(0, 0.08), 0.0, 1.0))
    return Person(key, male, age_years, tone, region, _draw_shape(key, male, age_years, region))


def hair_darkness(person: Person) -> float:
    """Mean darkness of the person's population's hair, 0..1."""
    return float(person.region @ _REGIONS[:, 1])


def lid_fold(person: Person) -> float:
    """How visible the fold of the upper lid is in the person's population, 0..1."""
    return float(person.region @ _REGIONS[:, 2])


def _draw_shape(key: Key, male: float, age_years: float, region: np.ndarray) -> dict[str, float]:
    """Amounts of all fields: independent Gaussians of one common length, shifted by sex, age and population.

    The common length keeps all people about equally far from the mean face, so that no draw is a caricature and no
    two people are similar by both being average.
    """
    names = list(fields())
    draw = np.clip(key.stream(Purpose.shape).standard_normal(len(names)), -_MAX_SIGMA, _MAX_SIGMA)
    draw *= SHAPE_GAIN * np.sqrt(len(names)) / np.linalg.norm(draw)  # length that of SHAPE_GAIN sigma in every trait
    shape = dict(zip(names, draw.tolist(), strict=True))
    wide_nose, bridge, lips, jaw = (region @ _REGIONS[:, 3:]).tolist()
    shifts = {
        "nose wings": wide_nose, "nose bridge": bridge, "upper lip": lips, "lower lip": lips, "jaw width": jaw,
    }  # fmt: skip
    sex = male - 0.5
    shifts |= {name: shifts.get(name, 0.0) + 1.3 * sex * amount for name, amount in _MALE.items()}
    old = max(0.0, age_years - 30) / 45
    shifts |= {name: shifts.get(name, 0.0) + old * amount for name, amount in _OLD.items()}
    return {name: amount + shifts.get(name, 0.0) for name, amount in shape.items()}


_MALE = {
    "brow ridge": 2.2, "jaw width": 1.4, "chin width": 1.2, "neck": 1.8, "lower face": 1.0, "eye size": -1.0,
    "upper lip": -0.6, "lower lip": -0.6, "nose size": 0.8, "brow height": -1.0, "cheek fullness": -0.5,
}  # fmt: skip
_OLD = {"jowls": 1.2, "eye bags": 1.6, "cheek fullness": -0.8, "nose tip height": 0.8, "upper lip": -0.8, "neck": 0.4}


@cache
def fields() -> dict[str, np.ndarray]:
    """The fields of shape, each [r c 3] float32 in mm for one standard deviation."""
    made = {name: head.field(*spots) for name, spots in _SPOTS.items()}
    made |= {
        "head width": head.girdle(-40, 60, 4.0, 0),
        "cheek width": head.girdle(18, 20, 3.4, 0),
        "jaw width": head.girdle(72, 22, 4.2, 0.5),
        "chin width": head.field(Spot(24, 103, 12, 12, 4.0, 0, 0.8)),
        "forehead width": head.girdle(-55, 22, 3.0, 1.0),
        "neck": head.girdle(140, 26, 3.5, 2.0),
        "face depth": head.girdle(40, 50, 0, 3.0),
        "forehead slope": head.girdle(-75, 25, 0, 4.0),
        "upper face": head.stretch(-70, -20, -3.5) - head.stretch(-200, -199, -3.5),
        "nose length": head.stretch(2, 40, 3.2),
        "upper lip length": head.stretch(50, 66, 2.0),
        "lower face": head.stretch(72, 108, 4.0),
        "mouth height": head.stretch(46, 66, 1.6) - head.stretch(78, 98, 1.6),
    }
    made |= _ripples()
    return {name: f.astype(np.float32) for name, f in made.items()}


_EYE = EYE_X_MM
_SPOTS: dict[str, tuple[Spot, ...]] = {
    "eye distance": (Spot(_EYE, 0, 15, 13, 2.2, 0, 0),),
    "eye height": (Spot(_EYE, 0, 15, 11, 0, 2.0, 0),),
    "eye size": (Spot(_EYE + 12, 0, 8, 8, 1.6, 0, 0), Spot(_EYE - 12, 0, 7, 8, -1.0, 0, 0)),
    "eye tallness": (Spot(_EYE, -7, 12, 5, 0, -1.0, 0.4), Spot(_EYE, 8, 12, 5, 0, 0.7, 0)),
    "eye tilt": (Spot(_EYE + 13, -1, 8, 9, 0, -1.8, 0), Spot(_EYE - 13, 1, 6, 8, 0, 1.0, 0)),
    "eye depth": (Spot(_EYE, -2, 13, 10, 0, 0, 2.0),),
    "brow ridge": (Spot(24, -17, 16, 6, 0, 0, 1.6), Spot(0, -15, 9, 7, 0, 0, 1.0)),
    "brow height": (Spot(30, -19, 20, 8, 0, -2.4, 0),),
    "brow slant": (Spot(46, -17, 10, 8, 0, -2.0, 0), Spot(14, -17, 9, 8, 0, 1.2, 0)),
    "eye bags": (Spot(_EYE, 12, 11, 4, 0, 0, 0.9),),
    "nose bridge": (Spot(0, 2, 6, 10, 0, 0, 2.2),),
    "nose hump": (Spot(0, 19, 6, 8, 0, 0, 1.8),),
    "nose size": (Spot(0, 33, 9, 12, 0, 0, 3.0),),
    "nose tip height": (Spot(0, 42, 8, 8, 0, 2.2, 0.4),),
    "nose tip": (Spot(0, 40, 5, 5, 0, 0, 1.8), Spot(6, 40, 4, 5, 1.2, 0, 0)),
    "nose wings": (Spot(13, 43, 7, 7, 2.3, 0, 0.6),),
    "nose width": (Spot(9, 22, 5, 13, 1.5, 0, 0.9),),
    "nose turn": (Spot(0, 36, 9, 12, 0.7, 0, 0),),
    "cheekbones": (Spot(43, 22, 14, 11, 1.8, 0, 2.3),),
    "cheekbone height": (Spot(43, 24, 15, 14, 0, -3.0, 0),),
    "cheek fullness": (Spot(40, 55, 16, 16, 1.6, 0, 2.6),),
    "nose fold": (Spot(27, 56, 5, 12, 0, 0, -0.7),),
    "muzzle": (Spot(0, 67, 21, 16, 0, 0, 2.6),),
    "mouth width": (Spot(24, 71, 11, 9, 1.9, 0, -0.4),),
    "mouth corners": (Spot(24, 71, 8, 7, 0, 1.3, 0),),
    "upper lip": (Spot(0, 65.5, 15, 4, 0, -1.1, 1.1),),
    "lower lip": (Spot(0, 77.5, 14, 4.5, 0, 1.3, 1.2),),
    "bow": (Spot(6, 63, 4, 3, 0, -0.7, 0.2), Spot(0, 63, 3, 3, 0, 0.6, 0)),
    "lip fold": (Spot(0, 87, 15, 5, 0, 0, 1.6),),
    "chin": (Spot(0, 104, 13, 10, 0, 0, 3.4),),
    "chin height": (Spot(0, 108, 20, 10, 0, 2.2, 0),),
    "chin cleft": (Spot(0, 104, 2.6, 6, 0, 0, -0.7),),
    "jowls": (Spot(38, 92, 12, 10, 1.6, 1.4, 1.2),),
    "jaw angle": (Spot(62, 72, 12, 14, 2.4, 2.4, 0),),
    "temples": (Spot(62, -26, 12, 18, 2.0, 0, 0.8),),
    "forehead": (Spot(0, -55, 26, 16, 0, 0, 2.2),),
    "forehead bosses": (Spot(26, -52, 13, 12, 0, 0, 1.4),),
}


def _ripples() -> dict[str, np.ndarray]:
    """Smooth relief that no name fits: cosines over the face, symmetric but for a small share; about 0.4 mm each."""
    made: dict[str, np.ndarray] = {}
    fade = (np.exp(-0.5 * ((head.B - 20) / 62) ** 4))[:, None] * head.FRONT
    for down in range(1, 6):
        for across in range(5):
            wave = np.cos(np.pi * down * (head.B + 90) / 210)[:, None] * np.cos(np.pi * across * head.X / 75)
            shift = np.zeros((*head.SHAPE, 3))
            shift[..., 2] = 0.75 * fade * wave
            made[f"ripple {down} {across}"] = shift
    for down in range(1, 4):
        wave = np.cos(np.pi * down * (head.B + 90) / 210)[:, None] * np.sin(np.pi * head.X / 75)
        shift = np.zeros((*head.SHAPE, 3))
        shift[..., 2], shift[..., 0] = 0.8 * fade * wave, 0.5 * fade * wave
        made[f"lean {down}"] = shift
    return made


@cache
def _stacked() -> tuple[np.ndarray, np.ndarray]:
    """The mean head [r c 3] and all fields as one matrix [k, r*c*3], float32."""
    return head.mean_head().astype(np.float32), np.stack([f.ravel() for f in fields().values()])


def neutral_head(person: Person) -> np.ndarray:
    """The points [r c 3] float32 in mm of the person's head at rest."""
    mean, matrix = _stacked()
    amounts = np.array(list(person.shape.values()), np.float32)
    return mean + (amounts @ matrix).reshape(mean.shape)  # (k) @ (k, r*c*3)
