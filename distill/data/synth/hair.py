"""Hair, hats and scarves: sheets that follow the skull from the crown and hang down where it recedes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from distill.data.synth import head
from distill.data.synth.sheet import Material, Sheet
from distill.data.synth.skin import Hairline

_STEP = 2
_ROWS = 34
_THETA = head.azimuth(head.T[::_STEP])
_DEGREES = np.degrees(np.abs(_THETA))
_TILE = 256
_HANG_MM = np.where(_DEGREES < 58, 60.0, np.interp(_DEGREES, [58, 75, 180], [20.0, 4.0, 26.0]))
"""The canonical height in mm below which hair hangs instead of lying on the head, by column."""


@dataclass(frozen=True)
class Style:
    """One way to wear hair, or a cover of the head where ``cloth``. Lengths in mm; heights in canonical mm downwards.

    ``fringe``, ``side`` and ``back`` are the heights at which the hair ends; None leaves the person's own hairline.
    """

    top_mm: float
    side_mm: float
    fringe: float | None = None
    side: float | None = None
    back: float | None = None
    opening_deg: float = 62.0
    slant: float = 0.0
    sweep: float = 0.0
    part: float = 0.0
    wave_mm: float = 0.0
    curl_mm: float = 0.0
    ragged: float = 0.25
    flare: float = 0.1
    cloth: bool = False


@cache
def strands() -> np.ndarray:
    """A tile [s s] float32 of values uniform in 0..1 that change quickly across (columns) and slowly along (rows)."""
    rng = np.random.Generator(np.random.PCG64(7))
    coarse = rng.standard_normal((12, _TILE)).astype(np.float32)
    wide = cv2.GaussianBlur(rng.standard_normal((12, _TILE)).astype(np.float32), (0, 0), 2.2)
    field = coarse + 2.5 * wide
    # the first row again at the end: the tile repeats without a seam
    field = cv2.resize(np.vstack([field, field[:1]]), (_TILE, _TILE + _TILE // 12))[:_TILE]
    ranks = np.empty(field.size, np.float32)
    # ranks, so that a threshold of t removes exactly a share t
    ranks[np.argsort(field.ravel(), kind="stable")] = np.linspace(0, 1, field.size, dtype=np.float32)
    return ranks.reshape(_TILE, _TILE)


def sheets(points: np.ndarray, style: Style, hairline: Hairline, rng: np.random.Generator) -> list[Sheet]:
    """The layers over a head of ``points`` [r c 3], the innermost first; ``rng`` places its locks."""
    w = np.linspace(0, 1, _ROWS)[:, None] ** 0.9
    heights = head.TOP_MM + w * (_ends(style, hairline) - head.TOP_MM)[None]
    below = np.maximum(heights - _HANG_MM, 0)
    base = _on_head(points, np.minimum(heights, _HANG_MM))
    base[..., 1] += below
    outward = base - np.array([0, -28, -6], np.float32)
    outward[..., 1] *= np.where(below > 0, 0.1, 0.8)
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True) + 1e-6
    reach = _thickness(style, w, heights[-1], below, rng)
    fall = (below * style.flare)[..., None] * outward * np.array([1, 0, 1])
    uv = _strand_coordinates(style, w, heights, rng)
    material = Material.cloth if style.cloth else Material.hair
    return [
        Sheet(
            (base + (0.8 + lift * reach)[..., None] * outward + fall).astype(np.float32),
            uv,
            _thin(style, w, lift),
            _openness(w, below, lift),
            material,
        )
        for lift in ((1.0,) if style.cloth else (0.55, 1.0))
    ]


def _ends(style: Style, hairline: Hairline) -> np.ndarray:
    """The height [c] in canonical mm at which each column ends."""
    own = hairline.at(_DEGREES)
    front = own if style.fringe is None else np.maximum(own, style.fringe + style.slant * np.sin(_THETA))
    side = own if style.side is None else np.full_like(own, style.side)
    back = own if style.back is None else np.full_like(own, style.back)
    if style.cloth:
        front = np.full_like(own, style.fringe or -50.0)
    to_side = _step((_DEGREES - style.opening_deg) / 14)
    to_back = _step((_DEGREES - 104) / 16)
    ends = front + to_side * (np.maximum(side, own if style.side is None else side) - front)
    return ends + to_back * (back - ends)


def _step(s: np.ndarray) -> np.ndarray:
    s = np.clip(s, 0, 1)
    return s * s * (3 - 2 * s)


def _on_head(points: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """The head's points [n c 3] at canonical heights [n c] of every ``_STEP``-th column."""
    rows = np.interp(heights, head.B, np.arange(len(head.B)))
    above = np.clip(rows.astype(int), 0, len(head.B) - 2)
    share = (rows - above)[..., None]
    columns = np.arange(0, head.COLUMNS, _STEP)[None]
    return (1 - share) * points[above, columns] + share * points[above + 1, columns]


def _thickness(
    style: Style, w: np.ndarray, ends: np.ndarray, below: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Distance [n c] in mm from the head: full on top, thin at an edge that lies on skin, with locks and curls."""
    crown = np.clip(1 - w * 1.15, 0, 1) ** 0.5
    side = np.clip((_DEGREES - 50) / 30, 0, 1)
    middle = style.top_mm * (1 - 0.45 * side) * (0.4 + 0.6 * crown) + style.side_mm * side
    edge = np.where(ends[None] < 20, np.clip((1 - w) / 0.16, 0, 1) ** 0.6, 1.0)
    part = 1 - 0.55 * np.exp(-(((_THETA - style.part) / 0.14) ** 2)) * (np.abs(style.part) > 0.01)
    p = rng.uniform(0, 2 * np.pi, 2)
    wave = style.wave_mm * np.sin(9 * w * (1 + below / 80) + p[0] + 1.2 * np.sin(3 * _THETA + p[1]))
    relief = wave + style.curl_mm * _lumps(rng, 11, 34)
    if not style.cloth:
        relief += 0.08 * middle * _lumps(rng, 3, 16)
    return edge * np.maximum(middle * part + relief, 0.6)


def _lumps(rng: np.random.Generator, down: int, round_: int) -> np.ndarray:
    """A smooth random relief [n c] float32 with so many cells, which closes behind the head."""
    cells = rng.standard_normal((down, round_)).astype(np.float32)
    cells[:, -1] = cells[:, 0]
    return cv2.resize(cells, (len(_THETA), _ROWS), interpolation=cv2.INTER_CUBIC)


def _strand_coordinates(style: Style, w: np.ndarray, heights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Coordinates of each point on the tile of strands: [n c 2]."""
    place = rng.random(2)
    twist = 0.02 * style.wave_mm * np.sin(22 * w + 6 * place[0]) + 0.02 * style.curl_mm * _lumps(rng, 11, 34)
    u = _THETA[None] * 0.55 + style.sweep * w**2 * 0.5 + place[0] + twist
    v = (heights - head.TOP_MM) / 300 * (1 + 0.8 * style.curl_mm) + place[1]
    return np.stack([u, np.broadcast_to(v, u.shape)], -1).astype(np.float32)


def _thin(style: Style, w: np.ndarray, lift: float) -> np.ndarray:
    """Strands end at different lengths, those of the outer layer earlier: [n c] float32."""
    if style.cloth:
        return np.zeros((_ROWS, len(_THETA)), np.float32)
    ragged = style.ragged * np.where(_DEGREES > 75, 0.5, 1.0)
    fade = np.clip((w - 1 + ragged) / ragged, 0, 1) ** 1.6
    gaps = 0.08 if lift == 1 else 0.0
    return np.clip(gaps + (1.02 - gaps) * fade, 0, 1.02).astype(np.float32)


def _openness(w: np.ndarray, below: np.ndarray, lift: float) -> np.ndarray:
    """Light from around: less in the inner layer and where hair hangs beside the neck: [n c] float32."""
    return (lift * (1 - 0.45 * np.clip(below / 90, 0, 1)) * (0.75 + 0.25 * (1 - w))).astype(np.float32)
