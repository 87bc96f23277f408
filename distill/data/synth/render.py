"""From a key and a number to a picture: the one place that combines all parts of a face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from distill.data.align import TEMPLATE_PX, similarity
from distill.data.synth import hair, head, skin
from distill.data.synth.accessories import EarShape, ears, glasses, lenses
from distill.data.synth.background import draw_background
from distill.data.synth.camera import degrade, develop, encode
from distill.data.synth.eyes import Eye
from distill.data.synth.identity import Person, draw_person, lid_fold, neutral_head
from distill.data.synth.nuisance import Look, Nuisance, draw_expression, draw_light, draw_look, draw_view
from distill.data.synth.scene import View, aligned, assemble, landmarks, see, shadow_map, triple
from distill.data.synth.shade import Face, Looks, Scene, shade
from distill.data.synth.sheet import Material, Sheet
from distill.data.synth.skin import Hairline, tone_colour
from distill.data.synth.streams import Key, Purpose
from distill.data.synth.wardrobe import Outfit, dress, linear
from distill.types import CROP_PX

JITTER_PX = 0.8
_SUPERSAMPLING = 1.25
_IRISES = np.array([(58, 36, 22), (92, 58, 32), (120, 96, 56), (96, 112, 84), (92, 124, 148), (130, 150, 166)])
_GLOSS = np.array([0.75, 0.9, 0.05, 3.0, 0.5])


@dataclass(frozen=True)
class Portrait:
    """A picture RGB uint8 [s s 3], its landmarks [5 2] in pixels, and the mask [s' s'] of the person."""

    image: np.ndarray
    landmarks_px: np.ndarray
    covered: np.ndarray


class Sitter:
    """One person: everything that is the same in all pictures is computed once."""

    def __init__(self, key: Key) -> None:
        self.person: Person = draw_person(key)
        self._points = neutral_head(self.person)
        self._open = head.openness(self._points)
        traits = key.stream(Purpose.eyes)
        recede = max(0.0, traits.normal(4 + 8 * self.person.male * (0.4 + self.person.old), 5))
        self._hairline = Hairline(traits.normal(-65 - 3 * self.person.male * self.person.old, 4), recede)
        ear_shape = EarShape(*traits.normal((58, 29, 0.42, 0, 0.05), (4, 2.5, 0.14, 3, 0.08)))
        self._ears = ears(self._points, ear_shape)
        self._eyes = _eye_traits(self.person, traits)
        self._texture = skin.paint(self.person, self._hairline)

    def picture(self, number: int, nuisance: Nuisance) -> bytes:
        """The JPEG of one aligned crop."""
        portrait = self.portrait(number, nuisance)
        return encode(portrait.image, self._stream(Purpose.file, number), nuisance.strength)

    def portrait(self, number: int, nuisance: Nuisance, side: int = CROP_PX) -> Portrait:
        """The picture before it is encoded; a larger ``side`` shows the same in more detail."""
        s = nuisance.strength
        wear = self._stream(Purpose.hair, number if nuisance.restyle else None)
        outfit = dress(self.person, wear, self._stream(Purpose.extras, number), s)
        pose = self._stream(Purpose.pose, number)
        view = draw_view(pose, s)
        expression = draw_expression(self._stream(Purpose.expression, number), s)
        points = head.combine(self._points, head.EXPRESSIONS, expression)
        sheets = self._sheets(points, outfit, wear)
        surface = assemble(sheets, view)
        marks = view.project(landmarks(points) @ view.turn.T)
        fit = similarity(marks, TEMPLATE_PX + pose.normal(0, JITTER_PX, (5, 2)))
        fine = int(side * _SUPERSAMPLING)  # drawn larger and averaged down: soft edges
        visible = see(surface, view, fit, sheets, fine)
        light = draw_light(self._stream(Purpose.light, number), s)
        face = self._face(outfit, draw_look(pose, view, s), expression, view)
        shadow = shadow_map(surface, sheets, light.key)
        image = shade(Scene(surface, visible, self._looks(outfit), face, light, shadow))
        covered = visible.triangle >= 0
        image = np.where(covered[..., None], image, draw_background(self._stream(Purpose.background, number), fine))
        if outfit.glasses is not None:
            outlines = [aligned(view.project(o @ view.turn.T), fit, fine) for o in lenses(points, outfit.glasses)]
            _glaze(image, outlines, outfit.tint)
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        camera = self._stream(Purpose.camera, number)
        developed = develop(small, camera, s)
        return Portrait(degrade(developed, camera, s), aligned(marks, fit, side), covered)

    def _stream(self, purpose: Purpose, picture: int | None) -> np.random.Generator:
        return self.person.key.stream(purpose, picture)

    def _sheets(self, points: np.ndarray, outfit: Outfit, rng: np.random.Generator) -> list[Sheet]:
        """Head, ears, hair and glasses, in head space."""
        worn = [sheet for style in outfit.styles for sheet in hair.sheets(points, style, self._hairline, rng)]
        spectacles = [] if outfit.glasses is None else glasses(points, outfit.glasses)
        face = Sheet(points, head.UV, head.SOLID, self._open, Material.skin)
        covers = [make(points, outfit.cloth_mm) for make in outfit.covers]
        return [face, *self._ears, *worn, *spectacles, *covers]

    def _looks(self, outfit: Outfit) -> Looks:
        bare = linear(tone_colour(self.person.tone) * np.array([1.0, 0.95, 0.94]))
        colours = np.stack([bare, outfit.hair, outfit.cloth, outfit.frame, bare])
        materials = np.column_stack([colours, _GLOSS]).astype(np.float32)
        layers = np.column_stack([outfit.layers, outfit.amounts]).astype(np.float32)
        return Looks(self._texture, layers, materials, hair.strands())

    def _face(self, outfit: Outfit, look: Look, expression: dict[str, float], view: View) -> Face:
        left, right = (_eye(self._eyes, look, outfit, expression, side) for side in (-1, 1))
        return Face(left, right, float(expression["open"]), *(triple(axis) for axis in view.turn.T))


def _eye_traits(person: Person, rng: np.random.Generator) -> dict[str, float | np.ndarray]:
    """Traits of a person's eyes: lengths in mm, colours linear RGB."""
    fold = np.clip(lid_fold(person) + rng.normal(0, 0.15), 0.05, 1)
    darkness = np.clip(person.tone * 2.4 + rng.normal(0, 0.25), 0, 1)
    colour = np.array([np.interp((1 - darkness) * 5, range(6), _IRISES[:, c]) for c in range(3)])
    return {
        "half_width": np.clip(rng.normal(15.6, 0.8), 13.6, 17.4),
        "upper": np.clip(rng.normal(5.5 - 0.5 * person.male - 0.5 * person.old + 0.5 * (fold - 0.5), 0.6), 3.8, 7.2),
        "lower": np.clip(rng.normal(4.6, 0.4), 3.6, 5.6),
        "tilt": rng.normal(1.0 - 0.8 * person.old, 0.8),
        "skew": rng.normal(0.10, 0.09),
        "iris_mm": np.clip(rng.normal(6.3, 0.2), 5.8, 6.8),
        "fold_mm": np.clip(rng.normal(3.6 - 1.0 * person.old, 0.9), 1.8, 5.5),
        "fold": fold,
        "iris": linear(colour * rng.uniform(0.8, 1.15)),
        "white": linear(np.array([208, 200, 194]) - 10 * person.old - 22 * person.tone),
    }


def _eye(traits: dict, look: Look, outfit: Outfit, expression: dict[str, float], side: int) -> Eye:
    """One eye of one picture."""
    wide = 1 + 0.12 * np.clip(expression["brows up"], -1, 1) - 0.16 * np.clip(expression["squint"], -0.5, 1.6)
    upper = traits["upper"] * wide * (1 - look.lowered) - (traits["lower"] - 0.6) * look.lowered * (look.lowered > 0.8)
    lower = traits["lower"] * (1 - 0.18 * np.clip(expression["squint"] + 0.5 * expression["smile"], -0.3, 2))
    iris, white, paint = (triple(colour) for colour in (traits["iris"], traits["white"], outfit.shadow_colour))
    return Eye(
        half_width=float(traits["half_width"]),
        upper=float(upper - 0.3 * look.down_mm),
        lower=float(lower),
        tilt=float(traits["tilt"]),
        skew=float(traits["skew"]),
        gaze_x=side * look.right_mm,
        gaze_y=look.down_mm,
        iris_mm=float(traits["iris_mm"]),
        pupil_mm=look.pupil_mm,
        fold_mm=float(traits["fold_mm"]),
        fold=float(traits["fold"]),
        lash=outfit.lash,
        shadow=outfit.shadow,
        iris=iris,
        white=white,
        paint=paint,
    )


def _glaze(image: np.ndarray, outlines: list[np.ndarray], tint: float) -> None:
    """Darken the pixels behind lenses and add a faint reflection, in place."""
    mask = np.zeros(image.shape[:2], np.float32)
    for outline in outlines:
        cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)  # 4 fractional bits
    image *= 1 - (0.05 + 0.8 * tint) * mask[..., None]
    glare = np.clip(np.linspace(1, -1.5, image.shape[0]), 0, 1)[:, None, None] * 0.05
    image += mask[..., None] * glare
