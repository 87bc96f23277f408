"""Styling that changes between pictures: hairstyle, beard, make-up, glasses, hats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from distill.data.synth.accessories import Glasses, mask, muffler
from distill.data.synth.hair import Style
from distill.data.synth.identity import Person, hair_darkness
from distill.data.synth.sheet import Sheet
from distill.data.synth.skin import Layer, tone_colour

_HAIRS = np.array([(222, 190, 132), (184, 138, 84), (134, 86, 52), (84, 54, 36), (38, 28, 24), (20, 17, 18)])
_GREY = np.array([176, 172, 168])
_DYES = np.array([(150, 62, 34), (196, 160, 96), (120, 30, 44), (52, 34, 26)])
_CLOTHS = np.array(
    [(40, 44, 60), (150, 40, 44), (60, 84, 66), (206, 200, 188), (90, 90, 98), (196, 150, 60), (70, 50, 96)]
)
_LIPSTICKS = np.array([(176, 36, 50), (196, 84, 92), (150, 56, 62), (206, 110, 100), (110, 28, 50)])


@dataclass(frozen=True)
class Outfit:
    """One picture's styling. Colours are linear RGB [3]; ``amounts`` [6] are the shares of the skin's layers."""

    styles: tuple[Style, ...]
    hair: np.ndarray
    cloth: np.ndarray
    frame: np.ndarray
    layers: np.ndarray
    amounts: np.ndarray
    beard_mm: float
    lash: float
    shadow: float
    shadow_colour: np.ndarray
    glasses: Glasses | None
    tint: float
    covers: tuple[Callable[[np.ndarray, float], Sheet], ...]
    cloth_mm: float


def linear(colour: np.ndarray) -> np.ndarray:
    """sRGB in 0..255 to linear, by squaring as everywhere in the renderer."""
    return (np.clip(colour, 0, 255) / 255.0) ** 2


def dress(person: Person, rng: np.random.Generator, now: np.random.Generator, extras: float) -> Outfit:
    """Draw hair, beard and make-up from ``rng``, and the accessories of one picture from ``now``.

    ``extras`` is the strength of occlusions: glasses, hats, masks.
    """
    made_up = person.male < 0.5 and rng.random() < 0.55
    natural, hair = _hair_colours(person, rng)
    bare = linear(tone_colour(person.tone))
    lips = bare * np.array([0.86, 0.50, 0.50])
    lip_share = rng.uniform(0.55, 0.8)
    if made_up and rng.random() < 0.7:
        lips, lip_share = linear(_LIPSTICKS[rng.integers(len(_LIPSTICKS))]), rng.uniform(0.45, 0.85)
    moustache, beard, beard_mm = _beard(person, rng)
    amounts = np.zeros(len(Layer))
    amounts[[Layer.brow, Layer.lips]] = np.clip(rng.normal(0.82, 0.06), 0.5, 0.95), lip_share
    amounts[[Layer.moustache, Layer.beard]] = moustache, beard
    amounts[Layer.blush] = rng.uniform(0, 0.3) if made_up else 0
    styles = _styles(person, rng)
    if now.random() < 0.06 * extras:
        styles = _covers(now, styles)
    amounts[Layer.scalp] = 0.9 if styles else rng.choice([0.0, 0.25, 0.6, 0.85])
    brow = 0.5 * natural + 0.1 * np.minimum(hair, bare)
    beard_hair = 0.3 * natural + 0.5 * hair
    layers = np.stack([brow, lips, beard_hair, beard_hair, hair * 0.7, bare * np.array([1.1, 0.55, 0.6])])
    return Outfit(
        styles,
        hair,
        linear(_CLOTHS[now.integers(len(_CLOTHS))] * now.uniform(0.7, 1.15)),
        linear(np.array(_frame_colour(now))),
        layers,
        amounts,
        beard_mm,
        rng.uniform(0.8, 1.3) if made_up else rng.uniform(0.15, 0.6) + 0.2 * (1 - person.male),
        rng.uniform(0.2, 0.6) if made_up else 0.0,
        bare * rng.uniform(0.15, 0.8, 3),
        _glasses(now) if now.random() < (0.13 + 0.08 * person.old) * extras else None,
        float(now.random() < 0.12),
        _face_covers(now, extras),
        now.uniform(3, 9),
    )


def _hair_colours(person: Person, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The natural colour of the hair, and its present one: grey or dyed."""
    darkness = np.clip(hair_darkness(person) + rng.normal(0, 0.14), 0, 1)
    colour = np.array([np.interp(darkness * 5, range(6), _HAIRS[:, c]) for c in range(3)])
    if darkness < 0.75 and rng.random() < 0.12:
        colour = colour * np.array([1.15, 0.72, 0.5])  # red
    natural = colour * rng.uniform(0.8, 1.2) + rng.normal(0, 4) * np.array([1.5, 0.2, -0.6])
    grey = np.clip(1.7 * person.old - 0.35 + rng.normal(0, 0.15), 0, 1)
    worn = natural + grey * (_GREY - natural)
    if rng.random() < 0.06 + 0.12 * (1 - person.male):
        worn = _DYES[rng.integers(len(_DYES))].astype(float)
    return linear(natural), linear(worn)


def _beard(person: Person, rng: np.random.Generator) -> tuple[float, float, float]:
    """Shares of moustache and beard, and the length of the beard in mm."""
    if person.male < 0.5:
        return 0.0, 0.0, 0.0
    kind = rng.choice(["shaved", "stubble", "moustache", "goatee", "full"], p=[0.42, 0.22, 0.07, 0.11, 0.18])
    return {
        "shaved": (0.10, 0.10, 0.0),
        "stubble": (0.45, 0.38, 0.0),
        "moustache": (0.85, 0.08, 0.0),
        "goatee": (0.85, 0.12, 0.0),
        "full": (0.88, 0.86, float(rng.uniform(1.5, 6.0))),
    }[str(kind)]


def _frame_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    return ((26, 24, 26), (60, 38, 26), (150, 130, 90), (120, 122, 128), (100, 30, 36))[rng.integers(5)]


def _glasses(rng: np.random.Generator) -> Glasses:
    return Glasses(
        half_width=rng.uniform(23, 28),
        half_height=rng.uniform(16, 23),
        square=rng.uniform(2.1, 5.0),
        wire=rng.uniform(0.7, 1.9),
        drop=rng.uniform(1, 5),
    )


def _styles(person: Person, rng: np.random.Generator) -> tuple[Style, ...]:
    long_share = 0.8 - 0.68 * person.male
    if person.male > 0.5 and rng.random() < 0.12 + 0.25 * person.old:
        return ()
    return (_long(rng),) if rng.random() < long_share else (_short(rng),)


def _face_covers(rng: np.random.Generator, extras: float) -> tuple[Callable[[np.ndarray, float], Sheet], ...]:
    """Rarely a mask or a scarf, which hide the lower face."""
    draw = rng.random() / max(extras, 1e-6)
    return (mask,) if draw < 0.012 else (muffler,) if draw < 0.045 else ()


def _short(rng: np.random.Generator) -> Style:
    fringe = rng.choice([-60.0, -44.0, -34.0, -26.0]) if rng.random() < 0.45 else None
    curly = rng.random() < 0.25
    return Style(
        top_mm=rng.uniform(5, 26),
        side_mm=rng.uniform(2.0, 11),
        fringe=fringe,
        slant=rng.uniform(-14, 14) * (fringe is not None),
        sweep=rng.normal(0, 0.8),
        part=float(rng.choice([0, rng.uniform(0.2, 0.6), -rng.uniform(0.2, 0.6)])),
        wave_mm=rng.uniform(0, 2.0),
        curl_mm=rng.uniform(1.5, 3.5) if curly else 0.0,
        ragged=rng.uniform(0.14, 0.4),
    )


def _long(rng: np.random.Generator) -> Style:
    fringe = rng.choice([-46.0, -34.0, -24.0]) if rng.random() < 0.28 else None
    end = rng.choice([62.0, 96.0, 150.0, 190.0], p=[0.2, 0.25, 0.3, 0.25])
    return Style(
        top_mm=rng.uniform(7, 18),
        side_mm=rng.uniform(6, 15),
        fringe=fringe,
        side=end,
        back=end + 10,
        opening_deg=rng.uniform(52, 76),
        slant=rng.uniform(-10, 10) * (fringe is not None),
        sweep=rng.normal(0, 0.6),
        part=rng.uniform(-0.5, 0.5) if fringe is None else 0.0,
        wave_mm=rng.choice([0.0, rng.uniform(1.5, 4.0)]),
        curl_mm=rng.choice([0.0, rng.uniform(2.0, 4.5)], p=[0.72, 0.28]),
        ragged=rng.uniform(0.08, 0.25),
        flare=rng.uniform(0.0, 0.3),
    )


def _covers(rng: np.random.Generator, styles: tuple[Style, ...]) -> tuple[Style, ...]:
    """A knitted cap over the hair, or a scarf in its place."""
    if rng.random() < 0.6:
        fringe, top_mm = rng.uniform(-50, -34), rng.uniform(9, 16)
        cap = Style(top_mm, side_mm=rng.uniform(6, 9), fringe=fringe, side=-16.0, back=20.0, cloth=True)
        return (*(replace(style, top_mm=2.0, side_mm=2.5, wave_mm=0.0, curl_mm=0.0) for style in styles), cap)
    fringe = rng.uniform(-62, -48)
    return (Style(9, 9, fringe, side=200.0, back=220.0, opening_deg=56, flare=0.25, cloth=True),)
