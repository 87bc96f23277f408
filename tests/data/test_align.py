"""Alignment against Umeyama's formula, and discs of known place against where they land."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from distill.data.align import TEMPLATE_PX, align, alignment, similarity
from reference import ijb_layout
from reference.umeyama import umeyama

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)]


def test_the_template_is_arcface_s_moved_by_8_px():
    np.testing.assert_allclose(TEMPLATE_PX, ijb_layout.TEMPLATE_PX, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_the_matrix_is_umeyama_s(seed: int):
    rng = np.random.default_rng(seed)
    points = TEMPLATE_PX @ rng.normal(size=(2, 2)) + rng.normal(0, 9, (5, 2))
    np.testing.assert_allclose(alignment(points), umeyama(points, TEMPLATE_PX), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_an_exact_similarity_is_undone_exactly(seed: int):
    matrix = ijb_layout.turned(seed)
    back = alignment(ijb_layout.moved(TEMPLATE_PX, matrix))
    np.testing.assert_allclose(ijb_layout.moved(ijb_layout.moved(TEMPLATE_PX, matrix), back), TEMPLATE_PX, atol=1e-9)
    np.testing.assert_allclose(back[:, :2] @ matrix[:, :2], np.eye(2), atol=1e-12)


def test_no_other_similarity_has_a_smaller_error():
    rng = np.random.default_rng(0)
    points = ijb_layout.moved(TEMPLATE_PX, ijb_layout.turned(3)) + rng.normal(0, 4, (5, 2))
    p, q = (x @ np.array([1, 1j]) for x in (points, TEMPLATE_PX))

    def error(factor: complex, shift: complex) -> float:
        return float((np.abs(factor * p + shift - q) ** 2).sum())

    factor, shift = similarity(points, TEMPLATE_PX)
    for _ in range(200):
        turn, step = rng.normal(0, 1e-3, 2), rng.normal(0, 0.2, 2)
        assert error(factor + complex(*turn), shift + complex(*step)) > error(factor, shift)


@pytest.mark.parametrize("seed", range(5))
def test_marks_land_within_half_a_pixel_of_the_template(seed: int):
    points = ijb_layout.moved(TEMPLATE_PX, ijb_layout.turned(seed))
    picture = np.zeros((400, 400, 3), np.uint8)
    for place, colour in zip(points, COLOURS, strict=True):
        cv2.circle(picture, np.round(place * 256).astype(int).tolist(), 7 * 256, colour, -1, cv2.LINE_AA, 8)
    crop = align(picture, points)
    assert (crop.shape, crop.dtype) == ((112, 112, 3), np.uint8)
    y, x = np.mgrid[:112, :112]
    for place, colour in zip(TEMPLATE_PX, COLOURS, strict=True):
        likeness = np.clip(1 - np.abs(crop / 255 - np.array(colour) / 255).sum(axis=2), 0, 1)
        likeness *= np.hypot(x - place[0], y - place[1]) < 10
        centre = np.array([(likeness * x).sum(), (likeness * y).sum()]) / likeness.sum()
        assert np.linalg.norm(centre - place) < 0.5


def test_beyond_the_picture_it_is_black():
    crop = align(np.full((60, 60, 3), 200, np.uint8), TEMPLATE_PX)
    assert crop[:59, :59].min() == 200
    assert crop[61:].max() == crop[:, 61:].max() == 0
