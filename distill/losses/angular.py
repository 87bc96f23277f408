"""Angular terms, and margin losses whose class centres or margins come from the teacher.

VarGFaceNet: arXiv 1910.04985, eq. 5. Frozen centres: ProxylessKD, arXiv 2011.00265 (and "ArcDistill" of AdaDistill's
code). MarginDistillation: arXiv 2003.02586. AdaDistill: arXiv 2407.01332. Deviation of all: the widths may differ, by
the adapters. AdaDistill's others are stated at ``adapted_centres`` and at the class; its AdaFace head is ours, the
authors have ArcFace and CosFace.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from distill.errors import UserError
from distill.losses.adaface import LengthQuality, adaface
from distill.losses.adapter import AdapterKind, make_adapter
from distill.losses.base import (
    Loss,
    require_classes,
    require_positive,
    require_within,
    teacher_centres,
    teacher_dim,
    teacher_output,
)
from distill.losses.cosine import cosines, row_cosines, unit
from distill.losses.feature import unit_gap
from distill.losses.margin import arcface, cosface, cross_entropy
from distill.types import LossDims, LossInputs

MarginKind = Literal["arc", "cos"]


def teacher_margins(cosine: Tensor, lowest_rad: float, range_rad: float) -> Tensor:
    """Margins [k] from the teacher's cosine to the true class [k]: range / max * cos + lowest (MarginDistillation).

    The more certain the teacher, the larger the margin. Deviation: a cosine below 0 counts as 0, so that all margins
    lie in [lowest, lowest + range] for a poor teacher too.
    """
    cosine = cosine.clamp_min(0)
    # amax of an empty tensor raises, and a batch may have no labelled row
    if len(cosine) == 0:
        return cosine
    # 1e-6: where no cosine of the batch is above 0, all margins are lowest_rad instead of 0 / 0
    return range_rad * cosine / cosine.amax().clamp_min(1e-6) + lowest_rad


@torch.no_grad()
def adapted_centres(centres: Tensor, labels: Tensor, teacher: Tensor, agreement: Tensor) -> tuple[Tensor, Tensor]:
    """Classes [u] of the batch and their new centres [u t] (AdaDistill): w = a * w + (1 - a) * f.

    f is the teacher's unit embedding of a row, a = clip(agreement * cos(w, f), 0, 1), agreement [k] the cosine of
    student and teacher. A class with several rows takes the mean of their updates: it moves once per step, whatever
    the order of the rows, and repeatably; the authors' code keeps an arbitrary one of them.
    """
    # both (k, t)
    target, old = unit(teacher), centres[labels]
    keep = (agreement * row_cosines(old, target)).clamp(0, 1)[:, None]  # a of the paper, (k, 1)
    moved = keep * old + (1 - keep) * target
    classes, member = labels.unique(return_inverse=True)  # (u) and (k): the place of each row's class
    # one row per class, 1 where the sample belongs to it: (u, k). A product with it, because the atomics of index_add_
    # on CUDA add in any order
    share = (member == torch.arange(len(classes), device=labels.device)[:, None]).to(moved.dtype)
    return classes, (share / share.sum(1, keepdim=True)) @ moved


def margin_loss(cosine: Tensor, labels: Tensor, kind: MarginKind, margin: float, scale: float) -> Tensor:
    """Cross-entropy [k] of cosines [k n] with an ``arc`` margin in radians or a ``cos`` margin."""
    logits = arcface(cosine, labels, margin) if kind == "arc" else cosface(cosine, labels, margin)
    return cross_entropy(logits, labels, scale)


class UnitGap(Loss):
    """VarGFaceNet's eq. 5, which the paper weighs 7 beside ArcFace."""

    needs_teacher = True

    def __init__(self, adapter: AdapterKind = "auto", *, sizes: LossDims) -> None:
        super().__init__()
        self.adapter = make_adapter(adapter, sizes, "UnitGap")

    def per_sample(self, step: LossInputs) -> Tensor:
        return unit_gap(*self.adapter(step.student.embedding, teacher_output(step).embedding))


class FrozenCentreMargin(Loss):
    """A margin loss of the student against the teacher's frozen centres; the teacher itself is not run."""

    needs_labels = True
    needs_teacher_centres = True

    def __init__(
        self,
        kind: MarginKind = "arc",
        margin: float = 0.5,
        scale: float = 64.0,
        adapter: AdapterKind = "auto",
        *,
        sizes: LossDims,
    ) -> None:
        super().__init__()
        _check("FrozenCentreMargin", kind, margin, scale, sizes)
        self.kind: MarginKind = kind
        self.margin, self.scale = margin, scale
        self.adapter = make_adapter(adapter, sizes, "FrozenCentreMargin")

    def per_sample(self, step: LossInputs) -> Tensor:
        cosine = cosines(*self.adapter(step.student.embedding, teacher_centres(step)))
        return margin_loss(cosine, step.labels, self.kind, self.margin, self.scale)


class MarginDistillation(Loss):
    """ArcFace against the teacher's frozen centres, with the margin of each image set by the teacher's certainty."""

    needs_labels = True
    needs_teacher = True
    needs_teacher_centres = True

    def __init__(
        self,
        lowest_rad: float = 0.2,
        range_rad: float = 0.3,
        scale: float = 64.0,
        adapter: AdapterKind = "auto",
        *,
        sizes: LossDims,
    ) -> None:
        super().__init__()
        _check("MarginDistillation", "arc", lowest_rad + range_rad, scale, sizes)
        require_within("MarginDistillation", "lowest_rad", lowest_rad, (0, math.pi / 2))
        require_within("MarginDistillation", "range_rad", range_rad, (0, math.pi / 2))
        self.lowest_rad, self.range_rad, self.scale = lowest_rad, range_rad, scale
        self.adapter = make_adapter(adapter, sizes, "MarginDistillation")

    def per_sample(self, step: LossInputs) -> Tensor:
        centres = teacher_centres(step)
        # (k): both vectors are the teacher's, so no adapter
        certainty = row_cosines(teacher_output(step).embedding, centres[step.labels])
        # (k), in radians
        margins = teacher_margins(certainty, self.lowest_rad, self.range_rad)
        cosine = cosines(*self.adapter(step.student.embedding, centres))
        return cross_entropy(arcface(cosine, step.labels, margins), step.labels, self.scale)


class AdaDistill(Loss):
    """A margin loss against centres that follow the teacher's embeddings, faster where the student has yet to learn.

    The centres [n t] are a buffer: no gradient reaches them, they travel in the checkpoint, and they move in training
    mode only, before the loss is taken. They start as random unit vectors, as in the paper: nearly orthogonal to any
    embedding, so that a is near 0 and the first image of a class becomes its centre. The teacher needs no classifier.
    The updates of a distributed run are not gathered: its centres follow the images of one process. With ``kind`` "ada"
    the margin of an image depends on the length of the student's embedding (``distill/losses/adaface.py``).
    """

    needs_labels = True
    needs_teacher = True
    class_rows = ("centres",)
    centres: Tensor

    def __init__(
        self,
        kind: MarginKind | Literal["ada"] = "arc",
        margin: float = 0.45,
        scale: float = 64.0,
        adapter: AdapterKind = "auto",
        *,
        sizes: LossDims,
    ) -> None:
        super().__init__()
        _check("AdaDistill", kind, margin, scale, sizes, ("arc", "cos", "ada"))
        self.kind: MarginKind | Literal["ada"] = kind
        self.margin, self.scale = margin, scale
        self.quality = LengthQuality() if kind == "ada" else None
        self.adapter = make_adapter(adapter, sizes, "AdaDistill")
        self.register_buffer("centres", unit(torch.randn(sizes.classes, teacher_dim(sizes, "AdaDistill"))))

    def per_sample(self, step: LossInputs) -> Tensor:
        # before the cosines: the loss is computed against the centres as this step leaves them
        if self.training:
            self._follow(step)
        # (k, n)
        cosine = cosines(*self.adapter(step.student.embedding, self.centres))
        if self.kind != "ada":
            return margin_loss(cosine, step.labels, self.kind, self.margin, self.scale)
        assert self.quality is not None
        quality = self.quality(step.student.embedding)
        return cross_entropy(adaface(cosine, step.labels, quality, self.margin), step.labels, self.scale)

    @torch.no_grad()
    def _follow(self, step: LossInputs) -> None:
        teacher = teacher_output(step).embedding
        agreement = row_cosines(*self.adapter(step.student.embedding, teacher))  # (k)
        classes, moved = adapted_centres(self.centres, step.labels, teacher, agreement)
        # every class once, so that no two writes meet
        self.centres[classes] = moved.to(self.centres.dtype)


_KINDS = {"arc": "'arc' (radians)", "cos": "'cos'", "ada": "'ada' (AdaFace)"}


def _check(
    term: str, kind: str, margin: float, scale: float, sizes: LossDims, kinds: Sequence[str] = ("arc", "cos")
) -> None:
    if kind not in kinds:
        expected = " or ".join(_KINDS[known] for known in kinds)
        raise UserError(f"objective term {term}: kind is {kind!r}; expected {expected}")
    require_within(term, "margin", margin, (0, math.pi / 2 if kind == "arc" else 1))
    require_positive(term, "scale", scale)
    require_classes(sizes, term)
