"""Fusion of frames against slow loops, and what has to be true of any weights."""

from __future__ import annotations

import numpy as np
import pytest

from distill.errors import UserError
from distill.metrics.fusion import equal_weights, length_weights, mean_of_normalised, norm_weighted, weighted_sum
from reference.features import unit

FRAMES = np.random.default_rng(5).standard_normal((7, 5)) * np.arange(1, 8)[:, None]


def test_the_mean_is_that_of_a_loop():
    total = np.zeros(5)
    for frame in FRAMES:
        total += unit(frame)
    np.testing.assert_allclose(mean_of_normalised(FRAMES), unit(total / 7), rtol=1e-12)


def test_weights_by_length_are_the_plain_sum():
    total = np.zeros(5)
    for frame in FRAMES:
        total += frame
    np.testing.assert_allclose(norm_weighted(FRAMES), unit(total), rtol=1e-12)
    np.testing.assert_allclose(length_weights(FRAMES), [sum(v * v for v in f) ** 0.5 for f in FRAMES], rtol=1e-12)


@pytest.mark.parametrize("fuse", [mean_of_normalised, norm_weighted])
def test_properties_of_both(fuse):
    found = fuse(FRAMES)
    assert np.linalg.norm(found) == pytest.approx(1)
    np.testing.assert_allclose(fuse(FRAMES[::-1]), found, rtol=1e-12)
    np.testing.assert_allclose(fuse(np.repeat(FRAMES, 3, axis=0)), found, rtol=1e-12)
    np.testing.assert_allclose(fuse(4 * FRAMES), found, rtol=1e-12)
    np.testing.assert_allclose(fuse(FRAMES[:1]), unit(FRAMES[0]), rtol=1e-12)


def test_a_frame_s_length_counts_only_where_it_shall():
    longer = FRAMES.copy()
    longer[2] *= 9
    np.testing.assert_allclose(mean_of_normalised(longer), mean_of_normalised(FRAMES), rtol=1e-12)
    assert np.abs(norm_weighted(longer) - norm_weighted(FRAMES)).max() > 0.01


@pytest.mark.parametrize("weigh", [equal_weights, length_weights])
def test_sums_over_parts_add_up(weigh):
    parts = [weighted_sum(part, weigh(part), "v") for part in (FRAMES[:3], FRAMES[3:])]
    np.testing.assert_allclose(sum(parts), weighted_sum(FRAMES, weigh(FRAMES), "v"), rtol=1e-12)


def test_frames_without_a_direction_are_refused():
    broken = FRAMES.copy()
    broken[4] = np.nan
    with pytest.raises(UserError, match=r"^v: 1 of 7 rows are zero, NaN or infinite, first row 4"):
        mean_of_normalised(broken, "v")
    opposite = np.array([[1.0, 0.0], [-1.0, 0.0]])
    with pytest.raises(UserError, match="zero, NaN or infinite"):
        mean_of_normalised(opposite)
