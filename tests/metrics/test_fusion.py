"""Fusion rules against slow loops, and what they promise: nothing lost on clean frames, strangers voted out."""

from __future__ import annotations

import numpy as np
import pytest

from distill.metrics.fusion import (
    consensus_template,
    consensus_weights,
    leave_one_out_cosines,
    lengths,
    mean_template,
    norm_template,
    template,
    weighted_sum,
    weighted_template,
)
from distill.types import UserError
from reference import fusion as reference

DIM = 64


def video(frames: int, noise: float, seed: int = 0, person: int = 0) -> np.ndarray:
    """Frames of one person [f d] around a direction of its own, of different lengths."""
    centre = np.random.default_rng([person, 99]).normal(size=DIM)
    rng = np.random.default_rng([person, seed])
    directions = centre / np.linalg.norm(centre) + noise * rng.normal(size=(frames, DIM)) / DIM**0.5
    return directions * rng.uniform(1, 9, (frames, 1))


def test_rules_are_those_of_the_loops():
    frames, weights = video(7, 1.0), np.random.default_rng(1).uniform(0.1, 3, 7)
    np.testing.assert_allclose(mean_template(frames), reference.template(frames, [1.0] * 7), rtol=1e-12)
    np.testing.assert_allclose(weighted_template(frames, weights), reference.template(frames, weights.tolist()))
    norms = [float(np.sqrt((f**2).sum())) for f in frames]
    np.testing.assert_allclose(lengths(frames), norms)
    np.testing.assert_allclose(norm_template(frames), reference.template(frames, norms))
    np.testing.assert_allclose(norm_template(frames), frames.sum(0) / np.linalg.norm(frames.sum(0)))


@pytest.mark.parametrize(("sharpness", "rounds"), [(1.0, 1), (2.0, 3), (4.0, 5)])
def test_consensus_is_that_of_the_loop(sharpness: float, rounds: int):
    frames = np.concatenate([video(5, 1.5), video(2, 1.0, person=1)])
    weights = np.random.default_rng(2).uniform(0.5, 2, 7)
    expected = reference.consensus(frames, weights.tolist(), sharpness, rounds)
    np.testing.assert_allclose(consensus_weights(frames, weights, sharpness, rounds), expected, atol=1e-9)
    units = np.stack([reference.unit(f) for f in frames])
    np.testing.assert_allclose(leave_one_out_cosines(units, weights), reference.agreements(frames, weights.tolist()))


def test_pieces_of_a_video_add_up():
    frames, weights = video(9, 1.0), np.linspace(1, 2, 9)
    pieces = weighted_sum(frames[:4], weights[:4]) + weighted_sum(frames[4:], weights[4:])
    np.testing.assert_allclose(template(pieces), weighted_template(frames, weights))


def test_a_minority_of_strangers_loses_its_weight():
    frames = np.concatenate([video(6, 0.5), video(2, 0.5, person=1)])
    weights = consensus_weights(frames)
    assert weights[6:].max() < 0.1 < 0.8 < weights[:6].min()
    alone = mean_template(frames[:6])
    assert consensus_template(frames) @ alone > 0.999 > mean_template(frames) @ alone


def test_good_frames_of_a_stranger_do_not_take_over():
    """Two sharp frames of somebody else, each trusted twice as much as the six of the person."""
    frames = np.concatenate([video(6, 1.0), video(2, 0.2, person=1)])
    weights = np.array([1.0] * 6 + [2.0] * 2)
    alone = mean_template(frames[:6])
    assert consensus_template(frames, weights) @ alone > 0.98 > weighted_template(frames, weights) @ alone


def test_frames_that_agree_alike_keep_their_weights():
    equal = np.eye(5, DIM) + 3 * np.eye(1, DIM, 10)  # all pairs have the same cosine
    np.testing.assert_allclose(consensus_weights(equal), np.ones(5))
    np.testing.assert_allclose(consensus_weights(equal, np.full(5, 3.0)), np.full(5, 3.0))


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_frames_have_no_majority(count: int):
    frames, weights = video(count, 2.0), np.arange(1.0, count + 1)
    np.testing.assert_array_equal(consensus_weights(frames, weights), weights)
    np.testing.assert_allclose(consensus_template(frames), mean_template(frames))


def test_without_anything_in_common_weights_stay():
    frames = np.eye(4, DIM)
    np.testing.assert_array_equal(consensus_weights(frames), np.ones(4))


def test_order_of_frames_and_scale_of_weights_do_not_matter():
    frames, weights = video(8, 1.5), np.random.default_rng(3).uniform(0.5, 2, 8)
    order = np.random.default_rng(4).permutation(8)
    for rule in (weighted_template, consensus_template):
        np.testing.assert_allclose(rule(frames[order], weights[order]), rule(frames, weights), rtol=1e-9)
        np.testing.assert_allclose(rule(frames, 1000 * weights), rule(frames, weights), rtol=1e-9)


def test_bad_input_is_named():
    frames = video(3, 1.0)
    with pytest.raises(UserError, match=r"frame weights have shape \[2\]; expected one for each of 3 frames"):
        weighted_template(frames, np.ones(2))
    with pytest.raises(UserError, match=r"frame weight 1 is -1\.0"):
        consensus_template(frames, np.array([1.0, -1.0, 1.0]))
    with pytest.raises(UserError, match="frame weight 2 is nan"):
        weighted_template(frames, np.array([1.0, 1.0, np.nan]))
    with pytest.raises(UserError, match="frames: 1 of 3 rows are zero, NaN or infinite, first row 1"):
        mean_template(frames * np.array([[1.0], [np.nan], [1.0]]))
    with pytest.raises(UserError, match="template: 1 of 1 rows are zero"):
        mean_template(np.stack([frames[0], -frames[0]]))
