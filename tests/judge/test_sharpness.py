from __future__ import annotations

import cv2
import numpy as np
import pytest

from distill.judge.benchmark import BATCH, sharpness, thirds


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 3, 9, 7)).astype(np.uint8)


def slow(image: np.ndarray) -> float:
    """One picture [3 h w], pixel by pixel."""
    luma = [
        [0.299 * float(r) + 0.587 * float(g) + 0.114 * float(b) for r, g, b in zip(*rows, strict=True)]
        for rows in zip(*image, strict=True)
    ]
    found = []
    for y in range(1, len(luma) - 1):
        for x in range(1, len(luma[0]) - 1):
            around = luma[y - 1][x] + luma[y + 1][x] + luma[y][x - 1] + luma[y][x + 1]
            found.append(around - 4 * luma[y][x])
    mean = sum(found) / len(found)
    return sum((value - mean) ** 2 for value in found) / len(found)


def test_against_a_loop_over_pixels():
    images = pictures(3)
    assert sharpness(images) == pytest.approx([slow(image) for image in images], rel=1e-12)


def test_batches_are_only_batches():
    images = pictures(BATCH + 1)
    np.testing.assert_array_equal(sharpness(images)[-1:], sharpness(images[-1:]))


def test_blur_lowers_it_and_a_constant_brightness_does_not_count():
    sharp = np.kron(np.random.default_rng(1).integers(40, 200, (7, 7)), np.ones((16, 16))).astype(np.uint8)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 2)
    images = np.stack([np.stack([plane] * 3) for plane in (sharp, blurred, sharp + 20)]).astype(np.uint8)
    found = sharpness(images)
    assert found[1] < found[0] / 4
    assert found[2] == pytest.approx(found[0], rel=1e-9)


def test_thirds_have_equal_numbers_and_keep_what_is_equal_together():
    values = np.random.default_rng(2).permutation(30).astype(float)
    found = thirds(values)
    np.testing.assert_array_equal(found, values.astype(int) // 10)
    assert set(thirds(np.ones(9)).tolist()) == {0}
