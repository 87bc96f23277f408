"""Feature terms: embeddings and intermediate maps of the student against the teacher's, image by image, without labels.

Embeddings: VarGFaceNet (arXiv 1910.04985, eq. 5). Deviation: widths may differ (adapter).
FitNets: arXiv 1412.6550, eq. 3. Deviations: a linear 1x1 projector, and the squared error is divided by the energy of
the teacher's map, so that 1 means "no better than zeros" at every depth and one weight fits all.
Attention transfer: arXiv 1612.03928, eq. 2, p = 2. Deviations: squared distance (as the authors' code), averaged over
the pairs of stages; where sizes differ, attention is pooled, not the features, which would cancel by sign.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.errors import UserError
from distill.losses.adapter import AdapterKind, make_adapter
from distill.losses.base import Loss, channels, require_within, teacher_dim, teacher_output
from distill.losses.cosine import precise, unit
from distill.types import LossDims, LossInputs


def unit_gap(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance [k] of the unit vectors of [k d] and [k d] (VarGFaceNet, eq. 5), in [0, 4].

    Equal to 2 * (1 - cos), but exactly 0 for equal directions and never below it.
    """
    return (unit(student) - unit(teacher)).square().sum(-1)


def cosine_gap(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - cos [k] of [k d] and [k d], in [0, 2]."""
    return unit_gap(student, teacher) / 2


def to_smaller(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps [k c h w] at the smaller of the two heights and widths, by average pooling."""
    size = min(left.shape[-2], right.shape[-2]), min(left.shape[-1], right.shape[-1])
    return _pool(left, size), _pool(right, size)


def _pool(x: Tensor, size: tuple[int, int]) -> Tensor:
    return x if x.shape[-2:] == size else F.adaptive_avg_pool2d(x, size)


def map_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared error [k] of maps [k c h w] over the teacher's energy; 0 if equal, 1 for a student of zeros."""
    student, teacher = to_smaller(precise(student), precise(teacher))
    # (k); a mean, so that depth and size of the map cancel
    error = (student - teacher).square().mean((1, 2, 3))
    # 1e-6: a teacher's map of zeros gives a large number, not NaN
    return error / teacher.square().mean((1, 2, 3)).clamp_min(1e-6)


def attention(x: Tensor, power: float) -> Tensor:
    """Spatial attention [k 1 h w] of a map [k c h w]: mean over channels of |x|^power."""
    return precise(x).abs().pow(power).mean(1, keepdim=True)


def attention_gap(student: Tensor, teacher: Tensor, power: float = 2.0) -> Tensor:
    """Squared distance [k] of the unit attention maps of [k c h w] and [k c' h' w'], in [0, 2]."""
    # (k, 1, h, w) each, at one size
    left, right = to_smaller(attention(student, power), attention(teacher, power))
    # unit vectors (k, h * w) without negative entries: their cosine is at least 0, the gap at most 2
    return (unit(left.flatten(1)) - unit(right.flatten(1))).square().sum(-1)


class EmbeddingCosine(Loss):
    """1 - cos of student and teacher."""

    needs_teacher = True

    def __init__(self, adapter: AdapterKind = "auto", *, sizes: LossDims) -> None:
        super().__init__()
        self.adapter = make_adapter(adapter, sizes, "EmbeddingCosine")

    def per_sample(self, step: LossInputs) -> Tensor:
        return cosine_gap(*self.adapter(step.student.embedding, teacher_output(step).embedding))


class MapHint(Loss):
    """FitNets: a student's map, through a learned 1x1 convolution that is not exported, against a teacher's map."""

    needs_teacher = True

    def __init__(self, student_map: str, teacher_map: str, *, sizes: LossDims) -> None:
        super().__init__()
        teacher_dim(sizes, "MapHint")
        self.student_maps, self.teacher_maps = (student_map,), (teacher_map,)
        self.projector = nn.Conv2d(
            channels(sizes.student_maps, student_map, "student", "MapHint"),
            channels(sizes.teacher_maps, teacher_map, "teacher", "MapHint"),
            kernel_size=1,
        )

    def per_sample(self, step: LossInputs) -> Tensor:
        # (k, c, h, w), projected to the c' of the teacher's (k, c', h', w')
        student = step.student.maps[self.student_maps[0]]
        teacher = teacher_output(step).maps[self.teacher_maps[0]]
        return map_error(self.projector(precise(student)), teacher)


class AttentionTransfer(Loss):
    """Attention maps of pairs (student's map, teacher's map)."""

    needs_teacher = True

    def __init__(self, pairs: Sequence[Sequence[str]], power: float = 2.0, *, sizes: LossDims) -> None:
        super().__init__()
        teacher_dim(sizes, "AttentionTransfer")
        require_within("AttentionTransfer", "power", power, (1, 8))
        if not pairs or any(isinstance(pair, str) or len(pair) != 2 for pair in pairs):
            raise UserError(f"objective term AttentionTransfer: pairs is {pairs}; expected [[student, teacher], ...]")
        self.student_maps = tuple(pair[0] for pair in pairs)
        self.teacher_maps = tuple(pair[1] for pair in pairs)
        self.power = power
        # stores keep the root mean square over channels, from which only this power can be computed
        self.attention_alone = power == 2
        for student, teacher in pairs:
            channels(sizes.student_maps, student, "student", "AttentionTransfer")
            channels(sizes.teacher_maps, teacher, "teacher", "AttentionTransfer")

    def per_sample(self, step: LossInputs) -> Tensor:
        student, teacher = step.student.maps, teacher_output(step).maps
        names = zip(self.student_maps, self.teacher_maps, strict=True)
        # (pairs, k) -> (k)
        return torch.stack([attention_gap(student[s], teacher[t], self.power) for s, t in names]).mean(0)
