from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import simplejpeg

from distill.data.augment import Augmentation, augmentation_rng
from distill.errors import UserError

NOTHING = {"mirror": 0.0, "shift_px": 0}
EVERYTHING = Augmentation(
    mirror=0.5,
    shift_px=6,
    scale=0.1,
    colour=0.5,
    gray=0.2,
    blur=0.5,
    low_resolution=0.5,
    jpeg=0.5,
    erase=0.5,
    cover=0.5,
)
SWITCHES = ("mirror", "colour", "gray", "blur", "low_resolution", "jpeg", "erase", "cover")


def apply(image: np.ndarray, index: int = 0, /, **settings: float) -> np.ndarray:
    return Augmentation(**(NOTHING | settings))(image, augmentation_rng(0, index, 0))  # pyright: ignore[reportArgumentType]


def test_all_off_is_the_identity(picture) -> None:
    assert np.array_equal(apply(picture(0)), picture(0))


@pytest.mark.parametrize("settings", [{name: 1.0} for name in SWITCHES] + [{"shift_px": 6}, {"scale": 0.3}])
def test_each_operation_alone(picture, settings: dict[str, float]) -> None:
    image = picture(0)
    result = apply(image, **settings)
    assert result.shape == (112, 112, 3)
    assert result.dtype == np.uint8
    assert not np.array_equal(result, picture(0))
    assert np.array_equal(image, picture(0)), "the image given was changed"


def test_replays_exactly_and_differs_by_seed_image_and_visit(picture) -> None:
    image = picture(0)
    seen = {}
    for key in [(s, i, v) for s in (0, 1) for i in (0, 1, 2**40) for v in (0, 1)]:
        seen[key] = EVERYTHING(image, augmentation_rng(*key)).tobytes()
        assert seen[key] == EVERYTHING(image.copy(), augmentation_rng(*key)).tobytes()
    assert len(set(seen.values())) == len(seen)


def test_draws_of_one_operation_do_not_depend_on_another(picture) -> None:
    for index in range(50):
        moved = apply(picture(1), index, shift_px=5)
        both = apply(picture(1), index, shift_px=5, gray=1.0, colour=0.0)
        assert np.array_equal(cv2.cvtColor(moved, cv2.COLOR_RGB2GRAY), both[..., 0])


class Given:
    """Random numbers that are given: all alike but for one."""

    def __init__(self, place: int | None = None) -> None:
        self._place = place

    def random(self, count: int) -> np.ndarray:
        draws = np.full(count, 0.4)
        if self._place is not None:
            assert self._place < count
            draws[self._place] = 0.7
        return draws


DRAWS = {
    "mirror": {0},
    "shift_px": {1, 2},
    "scale": {1, 2, 3},
    "colour": {4, 5, 6, 7},
    "gray": {8},
    "blur": {9, 10},
    "low_resolution": {11, 12},
    "jpeg": {13, 14},
    "erase": {15, 16, 17, 18, 19},
    "cover": {20, 21, 22, 23, 24},
}
"""The places of each operation among the random numbers of a visit; an older run is replayed by them."""


@pytest.mark.parametrize("name", DRAWS)
def test_every_operation_has_random_numbers_of_its_own(picture, name: str) -> None:
    """What covers and what erases would otherwise lie at the same place, whenever both happen."""
    on = {"shift_px": 6, "scale": 0.3}.get(name, 0.5)
    more = {"shift_px": 6} if name == "scale" else {}
    augment = Augmentation(**(NOTHING | {name: on} | more))
    image = picture(2)
    plain = augment(image, Given())  # pyright: ignore[reportArgumentType]
    seen = {k for k in range(25) if not np.array_equal(augment(image, Given(k)), plain)}  # pyright: ignore
    assert seen == DRAWS[name]
    shared = {other for other, places in DRAWS.items() if places & DRAWS[name]} - {name}
    assert shared == ({"shift_px", "scale"} - {name} if name in ("shift_px", "scale") else set())


def test_as_many_random_numbers_are_drawn_as_have_a_place() -> None:
    rng = augmentation_rng(0, 0, 0)
    Augmentation()(np.zeros((112, 112, 3), np.uint8), rng)
    assert rng.random() == augmentation_rng(0, 0, 0).random(26)[25]


def test_strengths_are_what_the_draws_say(picture) -> None:
    """At the ends of their ranges: the least of blur, size, quality and area, and the greatest."""
    image = picture(2)

    def drawn(value: float, name: str, **settings: float) -> np.ndarray:
        class All:
            def random(self, count: int) -> np.ndarray:
                return np.where([k in DRAWS[name] for k in range(count)], value, 0.999999)

        settings = NOTHING | {name: 1.0} | settings
        return Augmentation(**settings)(image, All())  # pyright: ignore[reportArgumentType]

    for value, sigma_px in ((0.0, 0.1), (0.5, 1.05), (0.999999, 2.0)):
        expected = cv2.GaussianBlur(image, (0, 0), sigma_px)
        assert np.abs(drawn(value, "blur", blur_sigma_px=2.0).astype(int) - expected).max() <= 1
    for value, side_px in ((0.0, 20), (0.5, 66), (0.999999, 111)):
        small = cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_AREA)
        expected = cv2.resize(small, (112, 112), interpolation=cv2.INTER_LINEAR)
        assert np.array_equal(drawn(value, "low_resolution", low_resolution_min_px=20), expected)
    for value, quality in ((0.0, 10), (0.5, 55), (0.999999, 100)):
        encoded = simplejpeg.encode_jpeg(image, quality, "RGB", "420")
        assert np.array_equal(drawn(value, "jpeg", jpeg_min_quality=10), simplejpeg.decode_jpeg(encoded, "RGB"))
    for value, rows, columns in ((0.5, slice(39, 74), slice(39, 74)), (0.999999, slice(33, 112), slice(0, 112))):
        erased = drawn(value, "erase", erase_max_share=0.2 if value == 0.5 else 1.0)
        where = (erased != image).any(2)
        found = [np.flatnonzero(where.any(axis)) for axis in (1, 0)]
        assert [(int(k[0]), int(k[-1]) + 1) for k in found] == [(r.start, r.stop) for r in (rows, columns)]


@pytest.mark.parametrize("name", SWITCHES)
def test_happens_as_often_as_it_says(picture, name: str) -> None:
    image = picture(0)
    settings = {name: 0.3, "erase_max_share": 1.0, "cover_max_share": 1.0}
    changed = sum(not np.array_equal(apply(image, i, **settings), image) for i in range(1000))
    assert 240 < changed < 360  # four standard deviations


def test_mirror_swaps_left_and_right(picture) -> None:
    assert np.array_equal(apply(picture(0), mirror=1.0), picture(0)[:, ::-1])


def test_shift_is_uniform_and_repeats_the_border() -> None:
    rows, columns = np.mgrid[0:112, 0:112]
    image = np.stack([rows, columns, rows], 2).astype(np.uint8)
    offsets = set()
    for index in range(400):
        result = apply(image, index, shift_px=2).astype(int)
        down, right = result[50, 50, 0] - 50, result[50, 50, 1] - 50
        offsets.add((down, right))
        assert np.array_equal(result[..., 0], np.clip(rows + down, 0, 111))
        assert np.array_equal(result[..., 1], np.clip(columns + right, 0, 111))
    assert offsets == {(d, r) for d in range(-2, 3) for r in range(-2, 3)}


def test_scale_is_about_the_centre() -> None:
    columns = np.mgrid[0:112, 0:112][1]
    image = np.repeat(columns.astype(np.uint8)[..., None], 3, 2)
    for index in range(20):
        middle = apply(image, index, scale=0.2)[56, :, 0].astype(float)
        slope = (middle[90] - middle[20]) / 70
        assert 1 / 1.2 - 0.02 <= slope <= 1 / 0.8 + 0.02
        assert np.allclose(middle[20:91], 55.5 + slope * (np.arange(20, 91) - 55.5), atol=1.1)


def test_colour_against_a_loop_in_float64(picture) -> None:
    image = picture(3)
    for index in range(10):
        draws = augmentation_rng(0, index, 0).random(24)
        lift, contrast, saturation = (2 * draws[5:8] - 1) * (0.1, 0.2, 0.3)
        result = apply(image, index, colour=1.0, brightness=0.1, contrast=0.2, saturation=0.3)
        for row, column in [(0, 0), (20, 70), (111, 111)]:
            lifted = [
                min(255.0, max(0.0, (v - 127.5) * (1 + contrast) + 127.5 + 255 * lift)) for v in image[row, column]
            ]
            grey = 0.299 * lifted[0] + 0.587 * lifted[1] + 0.114 * lifted[2]
            expected = [min(255.0, max(0.0, grey + (1 + saturation) * (v - grey))) for v in lifted]
            assert np.abs(result[row, column] - np.array(expected)).max() <= 2


def test_gray_has_equal_channels(picture) -> None:
    result = apply(picture(0), gray=1.0)
    assert (result == result[..., :1]).all()


def test_blur_low_resolution_and_jpeg_lose_detail(picture) -> None:
    def detail(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image.astype(float), axis=1)).mean())

    noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    for index in range(5):
        assert detail(apply(noise, index, blur=1.0, blur_sigma_px=3.0)) < detail(noise)
        assert detail(apply(noise, index, low_resolution=1.0)) < detail(noise)
        error = [np.abs(apply(noise, index, jpeg=1.0, jpeg_min_quality=q).astype(int) - noise).mean() for q in (5, 100)]
        assert error[0] > error[1]


def test_erasing_is_one_grey_rectangle_within_its_area() -> None:
    image = np.full((112, 112, 3), 255, np.uint8)
    for index in range(100):
        erased = (apply(image, index, erase=1.0, erase_max_share=0.25) == 127).all(2)
        rows, columns = np.flatnonzero(erased.any(1)), np.flatnonzero(erased.any(0))
        assert erased.sum() == len(rows) * len(columns) <= 0.26 * 112**2
        assert np.array_equal(erased, (apply(image, index, erase=1.0, erase_max_share=0.25) != 255).any(2))
        if len(rows) > 20:
            assert 0.45 <= len(rows) / len(columns) <= 2.2


def test_covering_is_one_rectangle_of_the_upside_down_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    for index in range(100):
        covered = apply(image, index, cover=1.0, cover_max_share=0.4)
        changed = (covered != image).any(2)
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        where = np.ix_(rows, columns)
        assert np.array_equal(covered[where], image[::-1][where])
        assert len(rows) * len(columns) <= 0.41 * 112**2


@pytest.mark.parametrize(
    "wrong", [{"mirror": 1.5}, {"jpeg": -0.1}, {"shift_px": 60}, {"jpeg_min_quality": 0}, {"blur_sigma_px": 0.0}]
)
def test_values_out_of_range_are_named(wrong: dict[str, float]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(UserError, match=rf"data\.augment\.{name} is {value}; expected"):
        Augmentation(**wrong)  # pyright: ignore[reportArgumentType]


def test_every_setting_is_read(picture) -> None:
    """No dead option: changing any one field changes some result."""
    on = dataclasses.replace(EVERYTHING, colour=1.0, blur=1.0, low_resolution=1.0, jpeg=1.0, erase=1.0, gray=0.5)
    for field in dataclasses.fields(Augmentation):
        value = getattr(on, field.name)
        other = dataclasses.replace(on, **{field.name: type(value)(value * 0.5 + (value < 1) * 0.01)})
        assert any(
            not np.array_equal(on(picture(i), augmentation_rng(0, i, 0)), other(picture(i), augmentation_rng(0, i, 0)))
            for i in range(30)
        ), field.name
