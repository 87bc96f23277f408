"""Fusion rules against slow loops, and what they promise: nothing lost on clean frames, strangers voted out."""

from __future__ import annotations

import numpy as np
import pytest

from distill.errors import UserError
from distill.metrics.fusion import (
    consensus_template,
    consensus_weights,
    equal_weights,
    length_weights,
    mean_cosine,
    mean_of_normalised,
    min_max_weights,
    norm_weighted,
    relative_agreement,
    weighted_sum,
    weighted_template,
)
from reference import fusion as reference
from reference.features import unit

DIM = 256


def video(frames: int, noise: float, person: int = 0) -> np.ndarray:
    """Frames of one person [f d] around a direction of its own, of different lengths."""
    centre = np.random.default_rng([person, 99]).normal(size=DIM)
    rng = np.random.default_rng([person, 0])
    directions = centre / np.linalg.norm(centre) + noise * rng.normal(size=(frames, DIM)) / DIM**0.5
    return directions * rng.uniform(1, 9, (frames, 1))


def test_weighted_template_is_that_of_the_loop():
    frames, weights = video(7, 1.0), np.random.default_rng(1).uniform(0.1, 3, 7)
    np.testing.assert_allclose(weighted_template(frames, weights), reference.template(frames, weights.tolist()))
    np.testing.assert_allclose(weighted_template(frames, np.ones(7)), mean_of_normalised(frames))
    np.testing.assert_allclose(weighted_template(frames, length_weights(frames)), norm_weighted(frames))


@pytest.mark.parametrize(("sharpness", "rounds"), [(1.0, 1), (2.0, 3), (4.0, 5)])
@pytest.mark.parametrize("of_the_person", [4, 5])
def test_consensus_is_that_of_the_loop(of_the_person: int, sharpness: float, rounds: int):
    frames = np.concatenate([video(of_the_person, 1.5), video(2, 1.0, person=1)])
    trust = np.linspace(0.3, 2, len(frames))
    for given in (None, trust):
        expected = reference.consensus(frames, sharpness, rounds, given if given is None else given.tolist())
        found = consensus_weights(frames, given, sharpness, rounds)
        np.testing.assert_allclose(found, expected, atol=1e-9)
    units, weights = np.stack([reference.unit(f) for f in frames]), np.linspace(1, 2, len(frames))
    slow = reference.agreements(frames, trust.tolist(), weights.tolist())
    np.testing.assert_allclose(relative_agreement(units, trust, weights), slow)


def test_what_nobody_gives_is_a_square_and_ten_rounds():
    """Frames that still lose weight in the ninth round, so that each of the constants shows."""
    frames, trust = np.concatenate([video(3, 3.0), video(2, 3.0, person=1)]), np.linspace(0.3, 2, 5)
    others = [reference.consensus(frames, sharpness, rounds) for sharpness, rounds in ((2.0, 9), (2.0, 11), (1.9, 10))]
    for given in (None, trust):
        expected = reference.consensus(frames, 2.0, 10, given if given is None else given.tolist())
        np.testing.assert_allclose(consensus_weights(frames, given), expected, atol=1e-9)
    plain = reference.consensus(frames, 2.0, 10)
    assert all(np.abs(np.subtract(plain, other)).max() > 1e-3 for other in others)
    np.testing.assert_allclose(consensus_template(frames), reference.template(frames, plain), atol=1e-9)
    kept = reference.consensus(frames, 2.0, 10, trust.tolist())
    weights = (np.arange(1.0, 6) * kept).tolist()
    np.testing.assert_allclose(
        consensus_template(frames, np.arange(1.0, 6), trust), reference.template(frames, weights), atol=1e-9
    )


@pytest.mark.parametrize("kappa", [0.0, 20.0, 300.0, 2000.0, 50_000.0])
def test_mean_cosine_is_the_ratio_of_bessel_functions(kappa: float):
    """By the continued fraction of I_nu / I_{nu-1} (DLMF 10.33.1 for modified functions), from its far end."""
    dim, ratio = 512, 0.0
    for order in range(dim // 2 + 100_000, dim // 2 - 1, -1):
        ratio = kappa / (2 * order + kappa * ratio)
    np.testing.assert_allclose(mean_cosine(np.array([kappa / dim])), ratio, atol=2e-3)


def test_frames_that_are_bad_alike_do_not_outvote_the_good_ones():
    """Three good frames and five with one common error, which agree with each other better than with the good."""
    person, error = np.eye(2, DIM)
    good = np.stack([0.8 * person + 0.6 * e for e in np.eye(DIM)[2:5]])
    bad = np.stack([0.2 * person + 0.95 * error + 0.24 * e for e in np.eye(DIM)[5:10]])
    frames, trust = np.concatenate([good, bad]), np.array([1.3] * 3 + [0.2] * 5)
    assert consensus_weights(frames)[:3].max() < 0.9
    assert consensus_weights(frames, trust).min() > 0.99


def test_a_stranger_is_voted_out_with_concentrations_too():
    frames = np.concatenate([video(6, 0.8), video(2, 0.8, person=1)])
    weights = consensus_weights(frames, np.full(8, 1.3))
    assert weights[6:].max() < 0.1 < 0.8 < weights[:6].min()


def test_a_minority_of_strangers_loses_its_weight():
    frames = np.concatenate([video(6, 0.5), video(2, 0.5, person=1)])
    weights = consensus_weights(frames)
    assert weights[6:].max() < 0.1 < 0.8 < weights[:6].min()
    alone = mean_of_normalised(frames[:6])
    assert consensus_template(frames) @ alone > 0.999 > mean_of_normalised(frames) @ alone


def test_a_stranger_seen_sharply_does_not_outvote_a_person_seen_dimly():
    """Two frames of somebody else, which agree with each other well and are trusted twice as much as the six."""
    frames = np.concatenate([video(6, 1.0), video(2, 0.2, person=1)])
    weights = np.array([1.0] * 6 + [2.0] * 2)
    alone = mean_of_normalised(frames[:6])
    assert consensus_template(frames, weights) @ alone > 0.99 > 0.8 > weighted_template(frames, weights) @ alone


def test_frames_that_agree_alike_keep_their_weights():
    equal = np.eye(5, DIM) + 3 * np.eye(1, DIM, 10)  # all pairs have the same cosine
    np.testing.assert_allclose(consensus_weights(equal), np.ones(5))


def test_clean_frames_lose_next_to_nothing():
    frames = video(20, 0.3)
    assert consensus_weights(frames).min() > 0.9
    assert consensus_template(frames) @ mean_of_normalised(frames) > 0.99999


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_frames_have_no_majority(count: int):
    frames, weights = video(count, 2.0), np.arange(1.0, count + 1)
    np.testing.assert_array_equal(consensus_weights(frames), np.ones(count))
    np.testing.assert_allclose(consensus_template(frames, weights), weighted_template(frames, weights))


def test_without_anything_in_common_weights_stay():
    np.testing.assert_array_equal(consensus_weights(np.eye(4, DIM)), np.ones(4))


def test_order_of_frames_and_scale_of_weights_do_not_matter():
    frames, weights = video(8, 1.5), np.random.default_rng(3).uniform(0.5, 2, 8)
    order = np.random.default_rng(4).permutation(8)
    for rule in (weighted_template, consensus_template):
        np.testing.assert_allclose(rule(frames[order], weights[order]), rule(frames, weights), rtol=1e-9)
        np.testing.assert_allclose(rule(frames, 1000 * weights), rule(frames, weights), rtol=1e-9)


def test_bad_input_is_named():
    frames = video(3, 1.0)
    with pytest.raises(UserError, match=r"v7: weights have shape \[2\]; expected one for each of 3 frames"):
        weighted_template(frames, np.ones(2), "v7")
    with pytest.raises(UserError, match=r"v7: the weight of frame 1 is -1\.0"):
        consensus_template(frames, np.array([1.0, -1.0, 1.0]), name="v7")
    with pytest.raises(UserError, match="the weight of frame 2 is nan"):
        weighted_template(frames, np.array([1.0, 1.0, np.nan]))
    with pytest.raises(UserError, match="v7: 1 of 3 rows are zero, NaN or infinite, first row 1"):
        consensus_template(frames * np.array([[1.0], [np.nan], [1.0]]), name="v7")
    with pytest.raises(UserError, match="frames, fused: 1 of 1 rows are zero"):
        weighted_template(np.stack([frames[0], -frames[0]]), np.ones(2))


# fusion of frames


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


def test_of_more_than_two_frames_the_best_counts_one_and_the_worst_nothing():
    qualities = np.array([0.7, -0.2, 1.3, 0.4])
    np.testing.assert_allclose(min_max_weights(qualities), [0.6, 0, 1, 0.4], rtol=1e-12)
    np.testing.assert_allclose(min_max_weights(5 - 3 * qualities), [0.4, 1, 0, 0.6], rtol=1e-12)
    np.testing.assert_array_equal(min_max_weights(np.full(3, 0.2)), np.ones(3))
    for few in ([0.7], [0.7, 0.2]):
        np.testing.assert_array_equal(min_max_weights(np.array(few)), few)


def test_qualities_without_a_weight_are_named():
    with pytest.raises(UserError, match=r"^v: the weight of frame 1 is -0.2"):
        min_max_weights(np.array([0.7, -0.2]), "v")
    with pytest.raises(UserError, match=r"^v: the weight of frame 2 is nan"):
        min_max_weights(np.array([0.7, 0.2, np.nan]), "v")


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
