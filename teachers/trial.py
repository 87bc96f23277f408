"""A check of a teacher before a long run: a few hundred verification pairs, in seconds.

What "like chance" means was measured on LFW pairs, 300 at a time. Aligned crops already tell people apart a little:
the cosine of 8x8 gray thumbnails has an AUC of 0.66 to 0.71, and 19 untrained networks of three families lay between
0.50 and 0.78. An AUC above 0.5 therefore proves nothing; a teacher has to close a part of the gap to 1 that the
thumbnails of the same pairs leave.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distill.errors import UserError
from distill.types import Embedder

THUMBNAIL_PX = 8
GAIN = 0.25
"""Least part of the thumbnails' gap to AUC 1 that a teacher closes. The untrained networks closed up to 0.22; a
trained one closes 0.98. On LFW the bar is 0.75 to 0.79."""
SIGMAS = 3.0
"""With few pairs chance reaches far: the bar is also at least this many standard deviations above AUC 0.5."""


@dataclass(frozen=True)
class TrialResult:
    """Area under the ROC curve of the teacher and of the thumbnails, and the bar that it passed."""

    pairs: int
    auc: float
    thumbnail_auc: float
    least_auc: float


def try_teacher(
    teacher: Embedder,
    images: Tensor,
    same: Tensor | np.ndarray,
    name: str = "teacher",
    expected_dim: int | None = None,
    max_pairs: int = 300,
    batch: int = 32,
) -> TrialResult:
    """Score a teacher on pairs (images [2p 3 112 112] uint8, same [p] bool).

    UserError for another width than expected, NaN, or an AUC like chance.
    """
    if expected_dim is not None and teacher.embedding_dim != expected_dim:
        raise UserError(f"teacher {name} gives embeddings of width {teacher.embedding_dim}; expected {expected_dim}")
    same = torch.as_tensor(same)
    pairs = _choose(same, max_pairs)
    # (2p, ...) -> (p, 2, ...), chosen, and flat again
    images, same = images.unflatten(0, (-1, 2))[pairs].flatten(0, 1), same[pairs]
    found = torch.cat([teacher.embed(piece).cpu() for piece in images.split(batch)])
    _check_embeddings(found, teacher.embedding_dim, name)
    thumbnail_auc = _auc(_thumbnails(images), same)
    least = max(thumbnail_auc + GAIN * (1 - thumbnail_auc), 0.5 + SIGMAS * _chance_deviation(same))  # the stricter
    result = TrialResult(len(same), _auc(found, same), thumbnail_auc, min(least, 1.0))
    if result.auc < result.least_auc:
        raise UserError(
            f"teacher {name} scores like chance: AUC {result.auc:.3f} on {result.pairs} pairs, below the "
            f"{result.least_auc:.3f} that an untrained network may reach; check its weights and preprocessing, "
            "or skip the trial with teacher.check=false"
        )
    return result


def _choose(same: Tensor, max_pairs: int) -> Tensor:
    """Indices of equally many genuine and impostor pairs, spread evenly over the set."""
    kinds = [torch.nonzero(same == kind).flatten() for kind in (True, False)]
    each = min(len(kinds[0]), len(kinds[1]), max_pairs // 2)
    if each == 0:
        raise UserError(
            f"a teacher's trial needs pairs of one and of two persons; got {len(kinds[0])} and {len(kinds[1])}"
        )
    return torch.cat([kind[torch.arange(each) * len(kind) // each] for kind in kinds])  # evenly spaced, no repeats


def _check_embeddings(found: Tensor, width: int, name: str) -> None:
    if found.shape[1:] != (width,):
        raise UserError(f"teacher {name} gives embeddings {list(found.shape)}; it says that their width is {width}")
    if bad := int((~found.isfinite()).any(1).sum()):
        raise UserError(f"teacher {name} gives NaN or infinite embeddings for {bad} of {len(found)} images")


def _thumbnails(images: Tensor) -> Tensor:
    """Grey 8x8 thumbnails [2p 64], each without its mean."""
    gray = F.adaptive_avg_pool2d(images.cpu().float().mean(1, keepdim=True), THUMBNAIL_PX).flatten(1)
    return gray - gray.mean(1, keepdim=True)


def _auc(embeddings: Tensor, same: Tensor) -> float:
    """Share of (genuine, impostor) couples in the right order, ties half (Mann-Whitney)."""
    left, right = F.normalize(embeddings.double()).unflatten(0, (-1, 2)).unbind(1)  # (p, d) each
    cosine = (left * right).sum(1)
    gap = cosine[same.cpu()][:, None] - cosine[~same.cpu()][None]  # (genuine, impostor)
    return float((gap.sign() + 1).mean() / 2)


def _chance_deviation(same: Tensor) -> float:
    """Standard deviation of the AUC of random scores (Mann-Whitney, without ties)."""
    genuine = int(same.sum())
    impostor = len(same) - genuine
    return math.sqrt((genuine + impostor + 1) / (12 * genuine * impostor))
