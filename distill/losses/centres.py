"""Class centres: where they begin, be it from who is like whom, be it from those of a student before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


def described_centres(traits: Tensor, dim: int, norm: float, seed: int) -> Tensor:
    """Centres [n dim] of length ``norm`` whose cosines are those of the people's standardised traits [n k]: exactly
    where k <= dim, else nearly.

    A network that learns random centres has to learn them one by one before anything general pays; with these, what
    tells one person from another tells all of them apart in the same way from the first step on. Our own; the
    nearest relative is classification against fixed attribute vectors (Akata et al., label embedding, arXiv
    1503.08677). A trait that all people share counts nothing.
    """
    standard = (traits - traits.mean(0)) / traits.std(0).clamp_min(1e-6)
    unit = standard / standard.norm(dim=1, keepdim=True).clamp_min(1e-6)
    count = traits.shape[1]
    random = torch.randn(max(dim, count), count, generator=torch.Generator().manual_seed(seed))
    turned = unit @ torch.linalg.qr(random).Q[:dim].T  # orthonormal columns: cosines survive
    return norm * turned / turned.norm(dim=1, keepdim=True).clamp_min(1e-6)


@dataclass(frozen=True)
class Moments:
    """What AdamW knows of class centres: the second moments [n d] of their gradients, after so many steps.

    First moments are not kept: they remember ten steps, and the run that follows begins elsewhere.
    """

    second: Tensor
    steps: int

    def as_state(self, centres: Tensor) -> dict[str, Tensor]:
        """The optimiser's state of ``centres``, in PyTorch's form."""
        assert self.second.shape == centres.shape
        return {
            "step": torch.tensor(float(self.steps)),
            "exp_avg": torch.zeros_like(centres),
            "exp_avg_sq": self.second.to(centres, copy=True),
        }

    def grown(self, count: int) -> Moments:
        """The same for ``count`` more centres, of which nothing is known: the mean of those there are."""
        return Moments(torch.cat([self.second, self.second.mean(0).expand(count, -1)]), self.steps)

    def rows(self, chosen: Tensor) -> Moments:
        return Moments(self.second[chosen], self.steps)


def grow(old: Tensor, means: Tensor, seed: int) -> Tensor:
    """Centres [c+k d] of which the first are ``old`` [c d], bit for bit.

    A new one has the direction of its row in ``means`` [k d], the mean embedding of that person, or a random one
    where that row is zero, and the mean length of the old: cosines do not see the length, but the optimiser's step
    turns a short centre further than a long one.
    """
    assert len(old) > 0
    random = torch.randn(means.shape, generator=torch.Generator().manual_seed(seed)).to(means)
    direction = torch.where((means == 0).all(1, keepdim=True), random, means)
    length = old.norm(dim=1).mean()
    return torch.cat([old, (length * direction / direction.norm(dim=1, keepdim=True)).to(old.dtype)])


def match_rows(before: np.ndarray, now: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """Where the centres of the people ``now`` [n] lie once those ``before`` [c] have grown by whoever is new.

    Returns rows int64 [n] of the grown centres, and the indices [k] into ``now`` of the new people in the order in
    which they are added. Both hold people by numbers that stay, each once.
    """
    order = np.argsort(before, kind="stable")
    found = np.searchsorted(before[order], now)
    nearest = order[np.minimum(found, len(before) - 1)]
    known = before[nearest] == now
    new = np.flatnonzero(~known)
    rows = np.where(known, nearest, 0)
    rows[new] = len(before) + np.arange(len(new))
    return torch.from_numpy(rows), new
