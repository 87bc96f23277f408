"""Centres that begin where traits say, and those that grow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distill.losses.centres import Moments, described_centres, grow, match_rows


def reference(traits: np.ndarray) -> np.ndarray:
    """Cosines of standardised traits in float64, person by person."""
    mean, spread = traits.mean(0), traits.std(0, ddof=1)
    people = [
        np.array([(t - m) / s if s > 0 else 0.0 for t, m, s in zip(p, mean, spread, strict=True)]) for p in traits
    ]
    return np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in people] for a in people])


def test_cosines_are_those_of_the_traits() -> None:
    traits = np.random.default_rng(1).normal(40.0, [9.0, 0.5, 1.0, 5.0], (7, 4))
    centres = described_centres(torch.from_numpy(traits).float(), 32, 0.25, seed=5)
    torch.testing.assert_close(centres.norm(dim=1), torch.full((7,), 0.25))
    unit = centres / centres.norm(dim=1, keepdim=True)
    np.testing.assert_allclose((unit @ unit.T).numpy(), reference(traits), atol=2e-4)


def test_more_traits_than_dimensions_keep_the_order() -> None:
    traits = torch.randn(40, 96, generator=torch.Generator().manual_seed(1))
    traits[1] = traits[0] + 0.1 * traits[1]
    centres = described_centres(traits, 24, 1.0, seed=4)
    cosines = centres @ centres.T - 2 * torch.eye(40)
    assert int(cosines[0].argmax()) == 1
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(40))


def test_a_trait_that_all_share_counts_nothing() -> None:
    traits = torch.rand(6, 3)
    shared = torch.cat([traits, torch.full((6, 1), 8.0)], 1)
    one, other = (described_centres(t, 16, 1.0, seed=2) for t in (traits, shared))
    torch.testing.assert_close(one @ one.T, other @ other.T, atol=1e-5, rtol=0)


def test_the_seed_alone_turns_them() -> None:
    traits = torch.rand(6, 3)
    assert torch.equal(described_centres(traits, 16, 1.0, seed=2), described_centres(traits, 16, 1.0, seed=2))
    assert not torch.allclose(described_centres(traits, 16, 1.0, seed=2), described_centres(traits, 16, 1.0, seed=3))


def drawn(rows: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("old", "new", "dim"), [(1, 1, 8), (5, 0, 16), (40, 7, 128), (3, 50, 33)])
@pytest.mark.parametrize("scale", [1e-4, 0.1, 30.0])
def test_growth_leaves_old_rows_bit_for_bit(old: int, new: int, dim: int, scale: float) -> None:
    before = scale * drawn(old, dim, 1)
    kept = before.clone()
    grown = grow(before, drawn(new, dim, 2), seed=3)
    assert grown.shape == (old + new, dim)
    assert grown.dtype == before.dtype
    assert torch.equal(grown[:old].view(torch.int32), kept.view(torch.int32))
    assert torch.equal(before, kept)


def test_new_rows_are_means_at_the_old_length_and_random_where_there_are_none() -> None:
    before, means = 0.2 * drawn(6, 24, 1), 9 * drawn(4, 24, 2)
    means[[1, 3]] = 0
    grown = grow(before, means, seed=5)[6:].double().numpy()
    length = np.mean([np.sqrt(sum(float(x) ** 2 for x in row)) for row in before.numpy()])
    np.testing.assert_allclose(np.linalg.norm(grown, axis=1), length, rtol=1e-5)
    for row in (0, 2):
        mean = means[row].double().numpy()
        np.testing.assert_allclose(grown[row], length * mean / np.linalg.norm(mean), rtol=1e-5)
    assert abs(grown[1] @ grown[3]) < 0.9 * length**2
    assert torch.equal(grow(before, means, seed=5), grow(before, means, seed=5))
    assert not torch.equal(grow(before, means, seed=5)[7], grow(before, means, seed=6)[7])


def slowly_placed(before: list[int], now: list[int]) -> tuple[list[int], list[int]]:
    new = [k for k, person in enumerate(now) if person not in before]
    return [before.index(p) if p in before else len(before) + new.index(k) for k, p in enumerate(now)], new


@pytest.mark.parametrize("seed", range(10))
def test_everybody_finds_their_row_whatever_the_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, now = (rng.choice(2**62, 40, replace=False)[rng.permutation(40)[:n]] for n in (25, 30))
    now = np.unique(np.concatenate([now, before[rng.permutation(25)[:17]]]))
    now = rng.permutation(now)
    rows, new = match_rows(before, now)
    assert (rows.tolist(), new.tolist()) == slowly_placed(before.tolist(), now.tolist())


def test_people_who_stay_keep_their_rows() -> None:
    rows, new = match_rows(np.arange(5), np.arange(7))
    assert rows.tolist() == list(range(7))
    assert new.tolist() == [5, 6]


def test_moments_of_old_centres_stay_and_new_ones_get_the_mean() -> None:
    old = Moments(drawn(4, 3, 1).square(), 90)
    grown = old.grown(2)
    assert torch.equal(grown.second[:4], old.second)
    torch.testing.assert_close(grown.second[4:], old.second.mean(0).expand(2, 3))
    chosen = grown.rows(torch.tensor([5, 0]))
    assert torch.equal(chosen.second, grown.second[[5, 0]])
    state = chosen.as_state(torch.ones(2, 3))
    assert (float(state["step"]), float(state["exp_avg"].abs().sum())) == (90, 0)
    assert torch.equal(state["exp_avg_sq"], chosen.second)
    state["exp_avg_sq"].zero_()
    assert chosen.second.abs().sum() > 0, "the optimiser works on a copy"
