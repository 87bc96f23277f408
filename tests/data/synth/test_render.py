from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from distill.data.align import TEMPLATE_PX
from distill.data.decode import decode
from distill.data.synth.nuisance import EVERYDAY, FULL, MILD, Nuisance
from distill.data.synth.render import Sitter
from distill.data.synth.streams import Key, Split

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture(scope="module")
def sitters() -> list[Sitter]:
    return [Sitter(Key(5, Split.train, person)) for person in range(6)]


def test_same_seed_same_bytes(sitters: list[Sitter]) -> None:
    again = Sitter(Key(5, Split.train, 2))
    later = again.picture(7, EVERYDAY)
    assert later == sitters[2].picture(7, EVERYDAY)
    assert again.picture(0, EVERYDAY) == sitters[2].picture(0, EVERYDAY)  # in any order


def test_a_picture_is_a_crop_of_a_face_set(sitters: list[Sitter]) -> None:
    image = decode(sitters[0].picture(0, EVERYDAY))
    assert image.shape == (112, 112, 3)
    assert image.std() > 15


def test_golden_faces() -> None:
    """Mean colours within 3 levels: the same people on every machine, up to rounding."""
    spec = importlib.util.spec_from_file_location("write_synthfaces", FIXTURES / "write_synthfaces.py")
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    expected = np.array(json.loads((FIXTURES / "synthfaces.json").read_text()))
    difference = np.abs(np.array(writer.looks()) - expected)
    assert difference.mean() < 0.5
    assert difference.max() <= 3


def test_splits_and_seeds_are_other_people() -> None:
    keys = [Key(5, split, 0) for split in Split] + [Key(6, Split.train, 0), Key(5, Split.train, 1)]
    shapes = [list(Sitter(key).person.shape.values()) for key in keys]
    apart = [np.corrcoef(a, b)[0, 1] for i, a in enumerate(shapes) for b in shapes[:i]]
    assert max(apart) < 0.7


def test_everybody_is_about_equally_far_from_the_mean() -> None:
    """No one is a caricature or average in everything."""
    lengths = [np.linalg.norm(list(Sitter(Key(9, Split.train, i)).person.shape.values())) for i in range(12)]
    assert max(lengths) < 1.35 * min(lengths)


@pytest.mark.parametrize("nuisance", [MILD, FULL, EVERYDAY])
def test_landmarks_lie_on_the_template(sitters: list[Sitter], nuisance: Nuisance) -> None:
    """A similarity keeps the middle of the five points, which jitters by 0.8 px / sqrt(5)."""
    for sitter in sitters:
        for number in range(3):
            marks = sitter.portrait(number, nuisance).landmarks_px
            assert np.abs(marks.mean(0) - TEMPLATE_PX.mean(0)).max() < 1.6


def test_near_frontal_landmarks_each_lie_near_the_template(sitters: list[Sitter]) -> None:
    frontal = Nuisance(0.0, restyle=True)
    marks = np.stack([s.portrait(n, frontal).landmarks_px for s in sitters for n in range(3)])
    assert np.linalg.norm(marks - TEMPLATE_PX, axis=2).max() < 11
    assert np.linalg.norm(marks.mean(0) - TEMPLATE_PX, axis=1).max() < 4


def test_eyes_are_where_the_landmarks_say(sitters: list[Sitter]) -> None:
    """The iris is darker than the cheek 14 px below it, in what is drawn rather than in what is computed."""
    frontal = Nuisance(0.0, restyle=True)
    darker = []
    for sitter in sitters:
        portrait = sitter.portrait(0, frontal)
        gray = cv2.cvtColor(portrait.image, cv2.COLOR_RGB2GRAY).astype(float)
        for x, y in portrait.landmarks_px[:2].round().astype(int).tolist():
            darker.append(gray[y - 2 : y + 3, x - 2 : x + 3].min() < 0.8 * gray[y + 11 : y + 16, x - 2 : x + 3].mean())
    assert np.mean(darker) > 0.9


def test_faces_have_no_holes(sitters: list[Sitter]) -> None:
    """What is background among the landmarks is all one with the background outside, as beside a turned cheek."""
    for sitter in sitters:
        for number in range(4):
            portrait = sitter.portrait(number, EVERYDAY)
            side = portrait.covered.shape[0]
            points = (portrait.landmarks_px * side / 112).round().astype(np.int32)
            inside = cv2.fillConvexPoly(np.zeros((side, side), np.uint8), cv2.convexHull(points), 1) > 0
            _, parts = cv2.connectedComponents((~portrait.covered).astype(np.uint8))
            border = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
            assert set(np.unique(parts[inside])) <= {0, *border.tolist()}


def test_a_larger_picture_shows_the_same(sitters: list[Sitter]) -> None:
    small = sitters[1].portrait(0, Nuisance(0.0, restyle=False)).image
    large = sitters[1].portrait(0, Nuisance(0.0, restyle=False), side=224).image
    shrunk = cv2.resize(large, (112, 112), interpolation=cv2.INTER_AREA)
    assert np.abs(np.asarray(shrunk).astype(float) - small).mean() < 5


def test_a_restyle_leaves_the_face_alone(sitters: list[Sitter]) -> None:
    """The middle of the face differs less between two hairstyles of a picture than between two people."""
    fixed, restyled = Nuisance(0.0, restyle=False), Nuisance(0.0, restyle=True)
    middle = np.s_[50:75, 45:68]
    one, other = (sitters[3].portrait(0, n).image[middle].astype(float) for n in (fixed, restyled))
    stranger = sitters[4].portrait(0, fixed).image[middle].astype(float)
    assert np.abs(one - other).mean() < np.abs(one - stranger).mean()
