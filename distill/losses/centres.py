"""Initial class centres: from traits of synthetic people, or from the centres of an earlier student (warm start)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


def described_centres(traits: Tensor, dim: int, norm: float, seed: int) -> Tensor:
    """Centres [n dim] of length ``norm`` whose cosines are those of the people's standardised traits [n k]: exactly
    where k <= dim, else approximately.

    With random centres a network first has to memorise them one by one. With these, similar people have similar
    centres from the first step on, so that features which separate some people separate the others too. Our own; the
    nearest relative is classification against fixed attribute vectors (Akata et al., label embedding, arXiv
    1503.08677). A trait that all people share has no weight.
    """
    # (n, k); 1e-6: a trait that all share becomes 0 instead of 0 / 0
    standard = (traits - traits.mean(0)) / traits.std(0).clamp_min(1e-6)
    # (n, k); a person with only average traits stays 0
    unit = standard / standard.norm(dim=1, keepdim=True).clamp_min(1e-6)
    count = traits.shape[1]
    # at least as high as wide, so that Q has orthonormal columns: (max(dim, k), k). Of more traits than dimensions,
    # Q[:dim] is a random projection, which keeps cosines approximately
    random = torch.randn(max(dim, count), count, generator=torch.Generator().manual_seed(seed))
    turned = unit @ torch.linalg.qr(random).Q[:dim].T  # (n, dim); orthonormal columns keep cosines
    return norm * turned / turned.norm(dim=1, keepdim=True).clamp_min(1e-6)


@dataclass(frozen=True)
class Moments:
    """AdamW's state of class centres: the second moments [n d] of their gradients after ``steps`` steps.

    First moments are not stored: they average over ten steps only, and the next run starts from other gradients.
    """

    second: Tensor
    steps: int

    def as_state(self, centres: Tensor) -> dict[str, Tensor]:
        """The optimiser's state of ``centres``, in PyTorch's form."""
        assert self.second.shape == centres.shape
        return {
            # a float tensor on the CPU, as AdamW makes it
            "step": torch.tensor(float(self.steps)),
            "exp_avg": torch.zeros_like(centres),
            # a copy: the optimiser updates its state in place
            "exp_avg_sq": self.second.to(centres, copy=True),
        }

    def grown(self, count: int) -> Moments:
        """The same with ``count`` more centres, which get the mean of the known moments."""
        return Moments(torch.cat([self.second, self.second.mean(0).expand(count, -1)]), self.steps)

    def rows(self, chosen: Tensor) -> Moments:
        return Moments(self.second[chosen], self.steps)


def grow(old: Tensor, means: Tensor, seed: int) -> Tensor:
    """Centres [c+k d] of which the first are ``old`` [c d], bit for bit.

    A new one has the direction of its row in ``means`` [k d], the mean embedding of that person, or a random one
    where that row is zero, and the mean length of the old: cosines ignore the length, but a step of the optimiser
    rotates a short centre further than a long one.
    """
    assert len(old) > 0
    # drawn for every row, so that a row's direction does not depend on which other rows are zero
    random = torch.randn(means.shape, generator=torch.Generator().manual_seed(seed)).to(means)
    direction = torch.where((means == 0).all(1, keepdim=True), random, means)
    length = old.norm(dim=1).mean()
    return torch.cat([old, (length * direction / direction.norm(dim=1, keepdim=True)).to(old.dtype)])


def match_rows(before: np.ndarray, now: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """Rows of the centres of the people ``now`` [n] once the centres of ``before`` [c] have grown by the new people.

    Returns rows int64 [n] of the grown centres, and the indices [k] into ``now`` of the new people in the order in
    which they are added. Both hold permanent person numbers, each once.
    """
    order = np.argsort(before, kind="stable")  # (c)
    found = np.searchsorted(before[order], now)
    # searchsorted returns c for a number above all others: clamp it and let the comparison decide
    nearest = order[np.minimum(found, len(before) - 1)]
    known = before[nearest] == now
    new = np.flatnonzero(~known)
    rows = np.where(known, nearest, 0)  # (n); the 0 of new people is overwritten in the next line
    rows[new] = len(before) + np.arange(len(new))
    return torch.from_numpy(rows), new
