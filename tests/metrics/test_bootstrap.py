from __future__ import annotations

import numpy as np
import pytest

from distill.metrics.bootstrap import Bootstrap

SAME = np.r_[np.ones(30, bool), np.zeros(70, bool)]


def all_weights(bootstrap: Bootstrap, same=SAME, persons=None) -> np.ndarray:
    return np.concatenate(list(bootstrap.weights(same, persons)))


def test_every_resample_keeps_the_numbers_of_both_kinds():
    weights = all_weights(Bootstrap(resamples=250))
    assert weights.shape == (250, 100)
    assert (weights[:, SAME].sum(axis=1) == 30).all()
    assert (weights[:, ~SAME].sum(axis=1) == 70).all()
    assert (weights == weights.round()).all()
    assert weights.min() == 0
    assert weights.mean(axis=0) == pytest.approx(np.ones(100), abs=0.35)


def test_one_kind_alone_can_be_resampled():
    assert (all_weights(Bootstrap(resamples=5), np.ones(20, bool)).sum(axis=1) == 20).all()


def test_a_seed_is_a_result():
    np.testing.assert_array_equal(all_weights(Bootstrap(seed=3)), all_weights(Bootstrap(seed=3)))
    assert (all_weights(Bootstrap(seed=3)) != all_weights(Bootstrap(seed=4))).any()


def test_persons_are_drawn_as_a_whole():
    persons = np.array([[0, 0], [0, 0], [0, 1], [1, 2], [2, 2]])
    weights = all_weights(Bootstrap(resamples=200), np.array([True, True, False, False, True]), persons)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    drawn = np.stack([weights[:, 0], 3 - weights[:, 0] - weights[:, 4], weights[:, 4]])  # three draws in all
    np.testing.assert_array_equal(weights[:, 2], drawn[0] * drawn[1])
    np.testing.assert_array_equal(weights[:, 3], drawn[1] * drawn[2])


def test_draws_are_those_behind_the_weights_of_pairs():
    persons = np.array([[0, 0], [1, 1], [2, 2], [0, 2]])
    weights = all_weights(Bootstrap(resamples=250), persons[:, 0] == persons[:, 1], persons)
    drawn = np.array(list(Bootstrap(resamples=250).draws(3)))
    np.testing.assert_array_equal(drawn, weights[:, :3])
    np.testing.assert_array_equal(drawn[:, 0] * drawn[:, 2], weights[:, 3])


def test_interval_is_made_of_quantiles_and_skips_the_undefined():
    values = np.r_[np.arange(101.0), np.nan]
    assert Bootstrap(confidence=0.9).interval(values) == pytest.approx((5, 95))
    assert Bootstrap().interval(np.array([np.nan, np.nan])) is None


def test_interval_of_a_mean_has_the_width_of_theory():
    rng = np.random.default_rng(0)
    values = rng.normal(size=2000)
    means = Bootstrap(resamples=2000).resample(
        lambda w: w @ values[:, None] / w.sum(axis=1, keepdims=True), np.ones(2000, bool)
    )
    interval = Bootstrap().interval(means[:, 0])
    assert interval is not None
    standard_error = values.std() / np.sqrt(2000)
    assert interval[1] - interval[0] == pytest.approx(2 * 1.96 * standard_error, rel=0.1)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(100):
        right = (rng.random(300) < 0.8).astype(float)
        values = Bootstrap(resamples=200, seed=seed).resample(
            lambda w, right=right: w @ right[:, None] / w.sum(axis=1, keepdims=True), np.ones(300, bool)
        )
        low, high = Bootstrap().interval(values[:, 0]) or (1, 0)
        hits += low <= 0.8 <= high
    assert 87 <= hits <= 100
