"""What training shows, and that a column is exactly what the student saw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from distill.data.augment import Augmentation, augmentation_rng
from distill.data.views import LIVE, FixedViews, MirrorViews, NewViews
from distill.errors import UserError

MIRROR = Augmentation(shift_px=0)
Picture = Callable[..., np.ndarray]


def test_new_views_are_the_augmentation_itself(picture: Picture):
    image, augment = picture(1), Augmentation(colour=0.5)
    shown, column = NewViews(augment, 7).show(image, index=3, visit=2)
    assert column == LIVE
    np.testing.assert_array_equal(shown, augment(image, augmentation_rng(7, 3, 2)))


def test_a_mirror_column_is_what_the_student_saw_and_both_occur(picture: Picture):
    views, seen = MirrorViews(MIRROR, 5), set()
    for index in range(12):
        shown, column = views.show(picture(index), index, visit=0)
        np.testing.assert_array_equal(shown, views.column(picture(index), index, column))
        np.testing.assert_array_equal(shown, NewViews(MIRROR, 5).show(picture(index), index, 0)[0])
        seen.add(column)
    assert seen == {0, 1}


def test_a_flip_sum_has_one_column_for_the_same_draws(picture: Picture):
    summed, mirrored, turned = MirrorViews(MIRROR, 5, flip_sum=True), MirrorViews(MIRROR, 5), 0
    assert (summed.columns, mirrored.columns) == (1, 2)
    for index in range(12):
        shown, column = summed.show(picture(index), index, visit=0)
        same, which = mirrored.show(picture(index), index, visit=0)
        np.testing.assert_array_equal(shown, same)
        assert column == 0
        turned += which
    assert 0 < turned < 12


def test_with_a_mirror_store_the_student_alone_may_see_other_colours(picture: Picture):
    augment = Augmentation(shift_px=0, mirror=0.0, gray=1.0)
    shown, column = MirrorViews(augment, 5).show(picture(1), 1, 0)
    assert column == 0
    assert (shown[..., 0] == shown[..., 1]).all()
    np.testing.assert_array_equal(MirrorViews(augment, 5).column(picture(1), 1, 0), picture(1))


@pytest.mark.parametrize("moving", [{"shift_px": 2}, {"shift_px": 0, "scale": 0.1}])
def test_what_moves_pixels_is_refused_by_a_mirror_store(moving: dict):
    with pytest.raises(UserError, match=r"data\.augment\.(shift_px|scale) is .*make signals of complete views"):
        MirrorViews(Augmentation(**moving), 1)


def test_fixed_views_come_round_and_begin_like_new_ones(picture: Picture):
    augment, image = Augmentation(colour=0.5, erase=0.5), picture(2)
    fixed, new = FixedViews(augment, 9, 3), NewViews(augment, 9)
    for visit in range(7):
        shown, column = fixed.show(image, 4, visit)
        assert column == visit % 3
        np.testing.assert_array_equal(shown, fixed.column(image, 4, column))
        np.testing.assert_array_equal(shown, new.show(image, 4, visit % 3)[0])


def test_no_views_at_all_are_refused():
    with pytest.raises(UserError, match="views is 0; expected at least 1"):
        FixedViews(MIRROR, 1, 0)
