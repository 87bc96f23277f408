"""Replay: the same rows for the same night, and each person once before any comes twice."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from distill.data.replay import replayed
from distill.types import UNLABELLED

LABELS = np.random.default_rng(5).permutation(np.repeat(np.arange(9), [1, 2, 3, 4, 5, 6, 7, 8, 20]))


def counted(rows: np.ndarray) -> Counter[int]:
    return Counter(LABELS[rows].tolist())


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.5, 0.9, 1.0])
def test_it_is_that_share_of_different_rows(share: float) -> None:
    rows = replayed(LABELS, share, seed=1, night=4)
    assert rows.dtype == np.int64
    assert len(rows) == round(share * len(LABELS))
    assert (np.diff(rows) > 0).all()


def test_the_same_night_draws_the_same_and_another_another() -> None:
    first = replayed(LABELS, 0.5, seed=1, night=4)
    assert np.array_equal(first, replayed(LABELS, 0.5, seed=1, night=4))
    assert not np.array_equal(first, replayed(LABELS, 0.5, seed=1, night=5))
    assert not np.array_equal(first, replayed(LABELS, 0.5, seed=2, night=4))


@pytest.mark.parametrize("night", range(20))
@pytest.mark.parametrize("share", [0.1, 0.17, 0.4, 0.7])
def test_nobody_is_shown_twice_before_everybody_was_shown(night: int, share: float) -> None:
    shown, has = counted(replayed(LABELS, share, 3, night)), Counter(LABELS.tolist())
    most = max(shown.values())
    for person, images in has.items():
        assert shown[person] >= min(most - 1, images), person


def test_everybody_is_seen_as_soon_as_there_is_an_image_for_each() -> None:
    each = 9 / len(LABELS)
    assert set(counted(replayed(LABELS, each, 0, 0))) == set(range(9))
    fewer = [frozenset(counted(replayed(LABELS, 0.5 * each, 0, night))) for night in range(30)]
    assert all(len(people) == round(0.5 * len(LABELS) * each) for people in fewer)
    assert frozenset.union(*fewer) == set(range(9)), "over the nights everybody comes"


def test_which_image_of_a_person_comes_is_chance() -> None:
    largest = np.flatnonzero(LABELS == 8)
    nights = [replayed(LABELS, 9 / len(LABELS), 0, night) for night in range(200)]
    seen = Counter(int(r) for rows in nights for r in rows if r in largest)
    assert set(seen) == set(largest.tolist())


def test_images_without_a_label_come_in_their_own_share() -> None:
    labels = np.concatenate([LABELS, np.full(40, UNLABELLED)])
    rows = replayed(labels, 0.25, 1, 1)
    assert (labels[rows] == UNLABELLED).sum() == 10
    assert len(rows) == 10 + round(0.25 * len(LABELS))
    assert np.array_equal(replayed(np.full(8, UNLABELLED), 1.0, 1, 1), np.arange(8))


def test_no_old_images_are_no_rows() -> None:
    assert len(replayed(LABELS[:0], 0.5, 1, 1)) == 0
