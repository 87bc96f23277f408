"""Deferred shading: the colour of each pixel from what the depth buffer shows there. Linear RGB, 1 is paper white."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from distill.data.synth.eyes import Eye, eyeball, eyelid, lids, smooth
from distill.data.synth.head import EYE_X_MM, LIP_GAP_MM, LIP_LINE_MM, MOUTH_HALF_MM, RADIUS_MM, TOP_MM
from distill.data.synth.kernel import inlined, kernel
from distill.data.synth.texture import BOTTOM_MM

LAYERS = 6


class Surface(NamedTuple):
    """The scene's points in view space: [v 3], unit normals [v 3], uv [v 2], open [v]; triangles [t 3], material [t]."""

    points: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    open: np.ndarray
    triangles: np.ndarray
    material: np.ndarray


class Light(NamedTuple):
    """``key``, ``fill`` and ``rim`` point at the lights; each has a colour [3]; ``sky`` and ``ground`` come from around.

    ``turn`` [3 3] takes view space to the shadow map ``shadow`` [n n] (mm towards the light), ``scale`` in pixels/mm.
    """

    key: np.ndarray
    key_colour: np.ndarray
    fill: np.ndarray
    fill_colour: np.ndarray
    sky: np.ndarray
    ground: np.ndarray
    turn: np.ndarray
    shadow: np.ndarray
    scale: float


class Looks(NamedTuple):
    """What the surfaces are made of.

    ``texture`` uint8 [h w 9] is the skin with its layers' shares, ``layers`` [6 3] their colours, ``amounts`` [6];
    ``materials`` [5 3] are the colours of other materials and ``gloss`` [5]; ``strands`` [s s] in 0..1 the hairs.
    """

    texture: np.ndarray
    layers: np.ndarray
    amounts: np.ndarray
    materials: np.ndarray
    gloss: np.ndarray
    strands: np.ndarray
    left: Eye
    right: Eye
    mouth_open_mm: float
    head_turn: np.ndarray


def shade(surface: Surface, visible, looks: Looks, light: Light) -> np.ndarray:
    """The picture float32 [s s 3]; pixels that show nothing stay 0."""
    image = np.zeros((*visible.depth.shape, 3), np.float32)
    _shade(surface, visible, looks, light, image)
    return image


@kernel
def _shade(surface, visible, looks, light, image):
    side = image.shape[0]
    rgb, position, normal = np.zeros(3), np.zeros(3), np.zeros(3)
    for y in range(side):
        for x in range(side):
            t = visible.triangle[y, x]
            if t < 0:
                continue
            i, j, k = surface.triangles[t, 0], surface.triangles[t, 1], surface.triangles[t, 2]
            a, b = visible.first[y, x], visible.second[y, x]
            c = 1 - a - b
            for n in range(3):
                position[n] = a * surface.points[i, n] + b * surface.points[j, n] + c * surface.points[k, n]
                normal[n] = a * surface.normals[i, n] + b * surface.normals[j, n] + c * surface.normals[k, n]
            u = a * surface.uv[i, 0] + b * surface.uv[j, 0] + c * surface.uv[k, 0]
            v = a * surface.uv[i, 1] + b * surface.uv[j, 1] + c * surface.uv[k, 1]
            free = a * surface.open[i] + b * surface.open[j] + c * surface.open[k]
            material = surface.material[t]
            if normal[2] < 0 and material != 0:
                normal *= -1
            gloss = looks.gloss[material]
            if material == 0:
                gloss = _skin(looks, u, v, normal, rgb)
            elif material == 1:
                gloss *= _hair(looks, u, v, rgb)
            else:
                _plain(looks, material, u, v, rgb)
            _lit(light, material, gloss, free, position, normal, rgb)
            image[y, x, 0], image[y, x, 1], image[y, x, 2] = rgb[0], rgb[1], rgb[2]


@inlined
def _plain(looks, material, u, v, rgb):
    """Cloth is knitted, frames and ears are plain."""
    knit = 1.0
    if material == 2:
        knit = 0.86 + 0.14 * np.sin(u * 160.0) * np.sin(v * 90.0)
    for c in range(3):
        rgb[c] = looks.materials[material, c] * knit


@inlined
def _hair(looks, u, v, rgb):
    """Strands light and dark; returns how glossy this one is, about 1."""
    side = looks.strands.shape[0]
    strand = looks.strands[int(v * side) % side, int(u * side) % side]
    lock = looks.strands[int(v * side * 0.5) % side, int(u * side * 0.23 + 31) % side]
    for c in range(3):
        rgb[c] = looks.materials[1, c] * (0.45 + 0.65 * strand + 0.45 * lock)
    return 0.3 + 1.2 * strand * lock + 0.3 * lock


@inlined
def _skin(looks, t, b, normal, rgb):
    """Write the colour at a place of the head; in the eyes and between the lips what is there. Returns the gloss."""
    _texture(looks, t, b, rgb)
    x = RADIUS_MM * np.sin(np.pi * (0.52 * t + 0.48 * t * t * t))
    if abs(t) > 0.45:
        return looks.gloss[0]
    if abs(b - LIP_LINE_MM) < LIP_GAP_MM and abs(x) < MOUTH_HALF_MM and looks.mouth_open_mm > 0.25:
        return _mouth(looks, x, (b - LIP_LINE_MM) / LIP_GAP_MM * 0.5 + 0.5, rgb)
    if b < -24 or b > 16:
        return looks.gloss[0] * (1.0 + 1.2 * np.exp(-(((b - 70) / 10) ** 2) - (x / 22) ** 2))
    side = 1.0 if x > 0 else -1.0
    eye = looks.right if x > 0 else looks.left
    ex, ey = side * x - EYE_X_MM, b
    top, bottom = lids(eye, ex)
    if top < ey < bottom:
        eyeball(eye, ex, ey, top, bottom, rgb)
        _round(looks, side * ex, ey, normal)
        return 5.0
    eyelid(eye, ex, ey, top, bottom, rgb)
    return looks.gloss[0]


@inlined
def _round(looks, x, y, normal):
    """The normal of an eyeball at (x, y) mm from its middle, in view space."""
    nx, ny = x / 14.0, y / 14.0
    nz = np.sqrt(max(0.05, 1.0 - nx * nx - ny * ny))
    for n in range(3):
        normal[n] = looks.head_turn[n, 0] * nx + looks.head_turn[n, 1] * ny + looks.head_turn[n, 2] * nz


@inlined
def _mouth(looks, x, s, rgb):
    """Between open lips, ``s`` from the upper (0) to the lower (1): teeth, then darkness."""
    depth = s * looks.mouth_open_mm
    teeth = (1.0 - smooth(6.2 - 0.004 * x * x, 7.0, depth)) * (1.0 - smooth(17.0, 22.0, abs(x)))
    gap = abs(np.sin(np.pi * x / 7.6)) ** 0.12
    lit = (0.35 + 0.5 * smooth(0.0, 3.0, depth)) * (1.0 - 0.6 * smooth(8.0, 21.0, abs(x)))
    dark = 0.25 + 0.75 * s
    for c in range(3):
        ivory = (0.80 - 0.07 * c) * gap * lit
        flesh = (0.10 if c == 0 else 0.025) * dark
        rgb[c] = flesh + teeth * (ivory - flesh)
    return 0.25


@inlined
def _texture(looks, t, b, rgb):
    """The skin with its layers at canonical (t, b), bilinear, from sRGB to linear by squaring."""
    height, width, _ = looks.texture.shape
    u = min(max((t + 1) * 0.5 * (width - 1), 0.0), width - 1.001)
    v = min(max((b - TOP_MM) / (BOTTOM_MM - TOP_MM) * (height - 1), 0.0), height - 1.001)
    c, r = int(u), int(v)
    fu, fv = u - c, v - r
    w00, w01, w10, w11 = (1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv
    for n in range(3):
        value = _between(looks.texture, r, c, n, w00, w01, w10, w11) * np.float32(1 / 255)
        rgb[n] = value * value
    for m in range(LAYERS):
        if looks.amounts[m] > 0:
            share = looks.amounts[m] * _between(looks.texture, r, c, m + 3, w00, w01, w10, w11) * np.float32(1 / 255)
            for k in range(3):
                rgb[k] += share * (looks.layers[m, k] - rgb[k])


@inlined
def _between(texture, r, c, n, w00, w01, w10, w11):
    upper = w00 * texture[r, c, n] + w01 * texture[r, c + 1, n]
    return upper + w10 * texture[r + 1, c, n] + w11 * texture[r + 1, c + 1, n]


@inlined
def _lit(light, material, gloss, free, position, normal, rgb):
    """Multiply a colour by the light that falls on it and add the shine, in place."""
    length = 1.0 / np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2 + 1e-9)
    nx, ny, nz = normal[0] * length, normal[1] * length, normal[2] * length
    toward = nx * light.key[0] + ny * light.key[1] + nz * light.key[2]
    filled = max(0.0, nx * light.fill[0] + ny * light.fill[1] + nz * light.fill[2])
    reached = _unshadowed(light, position, nx, ny, nz) if toward > -0.3 else 0.0
    up = 0.5 - 0.5 * ny
    hx, hy, hz = light.key[0], light.key[1], light.key[2] + 1.0
    half = max(0.0, (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz))
    power = half * half
    power *= power
    power *= power
    power *= power  # 16
    edge = (1.0 - max(0.0, nz)) ** 4
    sharp = power * power * power if gloss > 2.0 else power
    shine = gloss * (0.10 * sharp * reached + 0.05 * edge * free)
    for c in range(3):
        wrap = (0.30 if c == 0 else 0.21 if c == 1 else 0.18) if material == 0 or material == 4 else 0.25
        direct = max(0.0, (toward + wrap) / (1.0 + wrap))
        soft = reached + (1.0 - reached) * (0.08 if c == 0 else 0.0)
        around = light.ground[c] + (light.sky[c] - light.ground[c]) * up
        received = light.key_colour[c] * direct * soft + free * (around + light.fill_colour[c] * filled)
        rgb[c] = rgb[c] * received + shine * (light.key_colour[c] + 0.5 * around)


@inlined
def _unshadowed(light, position, nx, ny, nz):
    """The share of the key light, 0..1, that arrives; between the map's four places round it."""
    x, y, z = position[0] + 5.0 * nx, position[1] + 5.0 * ny, position[2] + 5.0 * nz  # or skin would shade itself
    q0 = light.turn[0, 0] * x + light.turn[0, 1] * y + light.turn[0, 2] * z
    q1 = light.turn[1, 0] * x + light.turn[1, 1] * y + light.turn[1, 2] * z
    q2 = light.turn[2, 0] * x + light.turn[2, 1] * y + light.turn[2, 2] * z
    side = light.shadow.shape[0]
    u, v = q0 * light.scale + side / 2.0, q1 * light.scale + side / 2.0
    total = 0.0
    c, r = int(u), int(v)
    if u < 1 or v < 1 or c >= side - 2 or r >= side - 2:
        return 1.0
    fu, fv = u - c, v - r
    for rr in range(2):
        for cc in range(2):
            weight = (fu if cc else 1 - fu) * (fv if rr else 1 - fv)
            total += weight * min(max(1.3 - (light.shadow[r + rr, c + cc] - q2) / 8.0, 0.0), 1.0)
    return total
