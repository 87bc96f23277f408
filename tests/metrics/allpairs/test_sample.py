"""The sample's shares are those of all pairs within its own error, and its brackets hold."""

from __future__ import annotations

import numpy as np
import pytest

from distill.metrics.allpairs.pairing import Pairing
from distill.metrics.allpairs.sample import EDGES, HIGHEST, LOWEST, sample_blocks, sample_tails
from metrics.allpairs.crowd import crowd
from reference import allpairs as slow

SMOOTH = crowd(400, coarse=False)
PAIRINGS = [Pairing(SMOOTH), Pairing(SMOOTH, crowd(300, coarse=False, seed=1))]


def impostors(pairing: Pairing) -> np.ndarray:
    other = () if pairing.probes is None else (pairing.probes.features, pairing.probes.identities)
    scores, same = slow.scored(pairing.gallery.features, pairing.gallery.identities, *other)
    return np.sort(scores[~same])


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_shares_are_within_their_error(pairing: Pairing):
    tails = sample_tails(pairing, seed=0, threads=2)
    scores = impostors(pairing)
    truth = 1 - np.searchsorted(scores, EDGES) / len(scores)
    clear = (truth > 1e-3) & (truth < 1 - 1e-3)
    assert (np.abs(tails.share - truth)[clear] < 5 * tails.error[clear]).all()
    assert tails.error[clear].max() < 0.01
    assert tails.pairs > 10_000


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("share", [0.5, 0.1, 1e-2, 1e-3, 1e-6])
def test_brackets_hold(pairing: Pairing, share):
    scores = impostors(pairing)
    target = scores[-max(1, int(share * len(scores)))]
    for seed in range(3):
        low, high = sample_tails(pairing, seed, threads=1).bracket(share, 6)
        assert low <= target < high
        assert share > 1e-3 or high == HIGHEST  # the sample is too small to say more


def test_tail_score_leaves_about_that_share():
    tails = sample_tails(PAIRINGS[0], seed=0, threads=1)
    scores = impostors(PAIRINGS[0])
    assert (scores >= tails.score_at(0.01)).mean() == pytest.approx(0.01, rel=0.2)
    assert tails.score_at(1.0) == LOWEST


def test_threads_do_not_matter_and_seeds_do():
    one, two, other = (sample_tails(PAIRINGS[0], seed, threads) for seed, threads in ((0, 1), (0, 3), (1, 1)))
    np.testing.assert_array_equal(one.share, two.share)
    np.testing.assert_array_equal(one.error, two.error)
    assert (one.share != other.share).any()


def test_blocks_hold_no_genuine_pair_and_no_row_with_itself():
    pairing = Pairing(crowd(9, people=2))
    for block in sample_blocks(pairing, seed=0, threads=1):
        np.testing.assert_array_equal(block.scores == -np.inf, block.left[:, None] == block.right)
