"""Class centres that begin where it is known who is like whom."""

from __future__ import annotations

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
