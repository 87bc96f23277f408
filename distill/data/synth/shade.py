"""Deferred shading: the colour of each pixel from the triangle in the depth buffer. Linear RGB, 1 is paper white."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from distill.compiled import inlined, kernel
from distill.data.synth.eyes import Eye, eyeball, eyelid, lids, smooth
from distill.data.synth.head import EYE_X_MM, LIP_GAP_MM, LIP_LINE_MM, MOUTH_HALF_MM, RADIUS_MM, TOP_MM
from distill.data.synth.raster import Visible
from distill.data.synth.texture import BOTTOM_MM

LAYERS = 6


class Surface(NamedTuple):
    """Points in view space [v 3], unit normals [v 3], uv [v 2], open [v]; triangles [t 3], material [t]."""

    points: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    open: np.ndarray
    triangles: np.ndarray
    material: np.ndarray


Triple = tuple[float, float, float]


class Light(NamedTuple):
    """``key`` and ``fill`` point at the lights, which have colours; ``sky`` and ``ground`` are ambient light."""

    key: Triple
    key_colour: Triple
    fill: Triple
    fill_colour: Triple
    sky: Triple
    ground: Triple


class Shadow(NamedTuple):
    """``depth`` [n n] is that of the surface nearest to the key light, in mm towards it.

    ``across``, ``down`` and ``toward`` are the axes of the light's space; ``scale`` is in pixels/mm.
    """

    depth: np.ndarray
    across: Triple
    down: Triple
    toward: Triple
    scale: float


class Face(NamedTuple):
    """Moving parts of a face: eyes, the gap between the lips in mm, and the axes of the head in view space."""

    left: Eye
    right: Eye
    mouth_open_mm: float
    right_axis: Triple
    down_axis: Triple
    front_axis: Triple


class Looks(NamedTuple):
    """Materials and textures of the surfaces.

    ``texture`` uint8 [h w 9] is the skin with the shares of its layers, ``layers`` float32 [6 4] their colours and
    amounts; ``materials`` [5 4] are the colours and the gloss of each ``Material``; ``strands`` [s s] the hairs.
    """

    texture: np.ndarray
    layers: np.ndarray
    materials: np.ndarray
    strands: np.ndarray


class Scene(NamedTuple):
    """All inputs of the shading."""

    surface: Surface
    visible: Visible
    looks: Looks
    face: Face
    light: Light
    shadow: Shadow


def shade(scene: Scene) -> np.ndarray:
    """The picture float32 [s s 3]; pixels that show nothing stay 0."""
    image = np.zeros((*scene.visible.depth.shape, 3), np.float32)
    _shade(scene, image)
    return image


@kernel
def _shade(scene, image):
    # Unpacked once: numba counts references each time an array is taken out of a tuple.
    points, normals, uv, free_, triangles, materials_of = scene.surface
    seen, _, first, second = scene.visible
    texture, layers, materials, strands = scene.looks
    face, light = scene.face, scene.light
    depth, across, down, toward, scale = scene.shadow
    side = image.shape[0]
    rgb, position, normal = np.zeros(3), np.zeros(3), np.zeros(3)
    for y in range(side):
        for x in range(side):
            t = seen[y, x]
            if t < 0:
                continue
            i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            a, b = first[y, x], second[y, x]
            c = 1 - a - b
            for n in range(3):
                position[n] = a * points[i, n] + b * points[j, n] + c * points[k, n]
                normal[n] = a * normals[i, n] + b * normals[j, n] + c * normals[k, n]
            u = a * uv[i, 0] + b * uv[j, 0] + c * uv[k, 0]
            v = a * uv[i, 1] + b * uv[j, 1] + c * uv[k, 1]
            material = materials_of[t]
            gloss = materials[material, 3]
            if material == 0:
                gloss *= _skin(texture, layers, face, u, v, normal, rgb)
            elif material == 1:
                gloss *= _hair(strands, materials, u, v, rgb)
            else:
                _plain(materials, material, u, v, rgb)
            _to_unit(normal, material > 0)
            for n in range(3):
                position[n] += 5.0 * normal[n]  # bias of 5 mm, or skin would shadow itself
            u = position[0] * across[0] + position[1] * across[1] + position[2] * across[2]
            v = position[0] * down[0] + position[1] * down[1] + position[2] * down[2]
            height = position[0] * toward[0] + position[1] * toward[1] + position[2] * toward[2]
            reached = _unshadowed(depth, u * scale, v * scale, height)
            _lit(light, material, gloss, (reached, a * free_[i] + b * free_[j] + c * free_[k]), normal, rgb)
            image[y, x, 0], image[y, x, 1], image[y, x, 2] = rgb[0], rgb[1], rgb[2]


@inlined
def _to_unit(normal, turned):
    """Normalise a normal, and turn that of a two-sided surface to the viewer, in place."""
    length = 1.0 / np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2 + 1e-9)
    if turned and normal[2] < 0:
        length = -length
    for n in range(3):
        normal[n] *= length


@inlined
def _plain(materials, material, u, v, rgb):
    """Cloth is knitted, frames and ears are plain."""
    knit = 1.0
    if material == 2:
        knit = 0.86 + 0.14 * np.sin(u * 160.0) * np.sin(v * 90.0)
    for c in range(3):
        rgb[c] = materials[material, c] * knit


@inlined
def _hair(strands, materials, u, v, rgb):
    """Strands light and dark; returns how glossy this one is, about 1."""
    side = strands.shape[0]
    strand = strands[int(v * side) % side, int(u * side) % side]
    lock = strands[int(v * side * 0.5) % side, int(u * side * 0.23 + 31) % side]
    for c in range(3):
        rgb[c] = materials[1, c] * (0.45 + 0.65 * strand + 0.45 * lock)
    return 0.3 + 1.2 * strand * lock + 0.3 * lock


@inlined
def _skin(texture, layers, face, t, b, normal, rgb):
    """Write the colour at a place of the head, of eyes and mouth too. Returns the gloss relative to skin."""
    _texture(texture, layers, t, b, rgb)
    x = RADIUS_MM * np.sin(np.pi * (0.52 * t + 0.48 * t * t * t))
    if abs(t) > 0.45:
        return 1.0
    if abs(b - LIP_LINE_MM) < LIP_GAP_MM and abs(x) < MOUTH_HALF_MM and face.mouth_open_mm > 0.25:
        return _mouth(face.mouth_open_mm, x, (b - LIP_LINE_MM) / LIP_GAP_MM * 0.5 + 0.5, rgb)
    if b < -24 or b > 16:
        return 1.0 + 1.2 * np.exp(-(((b - 70) / 10) ** 2) - (x / 22) ** 2)
    side = 1.0 if x > 0 else -1.0
    eye = face.right if x > 0 else face.left
    ex, ey = side * x - EYE_X_MM, b
    top, bottom = lids(eye, ex)
    if top < ey < bottom:
        eyeball(eye, ex, ey, top, bottom, rgb)
        _round(face, side * ex, ey, normal)
        return 6.0
    eyelid(eye, ex, ey, top, bottom, rgb)
    return 1.0


@inlined
def _round(face, x, y, normal):
    """The normal of an eyeball at (x, y) mm from its middle, in view space."""
    nx, ny = x / 14.0, y / 14.0
    nz = np.sqrt(max(0.05, 1.0 - nx * nx - ny * ny))
    for n in range(3):
        normal[n] = face.right_axis[n] * nx + face.down_axis[n] * ny + face.front_axis[n] * nz


@inlined
def _mouth(open_mm, x, s, rgb):
    """Between open lips, ``s`` from the upper (0) to the lower (1): teeth, then darkness."""
    depth = s * open_mm
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
def _texture(texture, layers, t, b, rgb):
    """The skin with its layers at canonical (t, b), bilinear, from sRGB to linear by squaring."""
    height, width, _ = texture.shape
    u = min(max((t + 1) * 0.5 * (width - 1), 0.0), width - 1.001)
    v = min(max((b - TOP_MM) / (BOTTOM_MM - TOP_MM) * (height - 1), 0.0), height - 1.001)
    c, r = int(u), int(v)
    fu, fv = u - c, v - r
    for n in range(3):
        value = _between(texture, r, c, n, (fu, fv)) * np.float32(1 / 255)
        rgb[n] = value * value
    for m in range(LAYERS):
        if layers[m, 3] > 0:
            share = layers[m, 3] * _between(texture, r, c, m + 3, (fu, fv)) * np.float32(1 / 255)
            for k in range(3):
                rgb[k] += share * (layers[m, k] - rgb[k])


@inlined
def _between(texture, r, c, n, shares):
    """Channel ``n`` between four texels, so far to the right and down of (r, c)."""
    fu, fv = shares
    upper = texture[r, c, n] + fu * (np.float32(texture[r, c + 1, n]) - texture[r, c, n])
    lower = texture[r + 1, c, n] + fu * (np.float32(texture[r + 1, c + 1, n]) - texture[r + 1, c, n])
    return upper + fv * (lower - upper)


@inlined
def _lit(light, material, gloss, arriving, normal, rgb):
    """Multiply a colour by the light that falls on it and add the highlights, in place.

    ``arriving`` are the unoccluded shares of the key light and of ambient light.
    """
    nx, ny, nz = normal[0], normal[1], normal[2]
    reached, free = arriving
    toward = nx * light.key[0] + ny * light.key[1] + nz * light.key[2]
    filled = max(0.0, nx * light.fill[0] + ny * light.fill[1] + nz * light.fill[2])
    up = 0.5 - 0.5 * ny
    hx, hy, hz = light.key[0], light.key[1], light.key[2] + 1.0
    # Blinn-Phong: normal and half vector of light and viewer (0, 0, 1)
    half = max(0.0, (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz))
    power = half * half
    power *= power
    power *= power
    power *= power  # to the power 16
    edge = 1.0 - max(0.0, nz)
    sharp = power * power * power if gloss > 2.0 else power
    shine = gloss * (0.10 * sharp * reached + 0.05 * edge * edge * edge * edge * free)
    for c in range(3):
        # skin scatters light beyond the terminator, red furthest
        wrap = (0.30 if c == 0 else 0.21 if c == 1 else 0.18) if material == 0 or material == 4 else 0.25
        direct = max(0.0, (toward + wrap) / (1.0 + wrap))
        soft = reached + (1.0 - reached) * (0.08 if c == 0 else 0.0)
        around = light.ground[c] + (light.sky[c] - light.ground[c]) * up
        received = light.key_colour[c] * direct * soft + free * (around + light.fill_colour[c] * filled)
        rgb[c] = rgb[c] * received + shine * (light.key_colour[c] + 0.5 * around)


@inlined
def _unshadowed(depth, u, v, height):
    """The share of the key light, 0..1, that arrives at a place of the shadow map; between its four neighbours."""
    side = depth.shape[0]
    u, v = min(max(u + side / 2.0, 0.0), side - 1.001), min(max(v + side / 2.0, 0.0), side - 1.001)
    c, r = int(u), int(v)
    fu, fv = u - c, v - r
    total = 0.0
    for rr in range(2):
        for cc in range(2):
            weight = (fu if cc else 1 - fu) * (fv if rr else 1 - fv)
            total += weight * min(max(1.3 - (depth[r + rr, c + cc] - height) / 8.0, 0.0), 1.0)
    return total
