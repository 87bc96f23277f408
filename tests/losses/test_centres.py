"""Centres that begin where traits say."""

from __future__ import annotations

import numpy as np
import torch

from distill.losses.centres import described_centres


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
