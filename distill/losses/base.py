"""The interface of a loss term, and what terms require of a training step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from distill.errors import UserError
from distill.types import LossDims, LossInputs, Output


class Loss(nn.Module, ABC):
    """One term: a value per sample. A term declares what it needs, so that nothing else is computed.

    Every term accepts a step of no rows at all, for which it returns an empty tensor that still has a gradient.
    """

    needs_labels: bool = False
    """Sees only the rows whose label is known."""
    needs_centres: bool = False
    """Reads the student's learned class centres."""
    needs_teacher: bool = False
    """Reads the teacher's output for the batch."""
    needs_teacher_centres: bool = False
    """Reads the teacher's frozen class centres."""
    student_maps: tuple[str, ...] = ()
    teacher_maps: tuple[str, ...] = ()
    class_rows: tuple[str, ...] = ()
    """Names of the term's own parameters and buffers with one row per class."""
    attention_alone: bool = False
    """Reads only the mean square over channels of the teacher's maps, per pixel."""

    def forward(self, step: LossInputs) -> Tensor:
        """Values [k] for the k rows of the step, in float32 or better also under autocast."""
        # bfloat16 steps by 2^-8 just below 1: the least angle that such a cosine could hold is 0.09 rad
        with torch.autocast(step.student.embedding.device.type, enabled=False):
            return self.per_sample(step)

    @abstractmethod
    def per_sample(self, step: LossInputs) -> Tensor:
        """Values [k], computed with autocast off."""


def teacher_output(step: LossInputs) -> Output:
    assert step.teacher is not None, "a term that needs the teacher got a step without one"
    return step.teacher


def teacher_centres(step: LossInputs) -> Tensor:
    assert step.teacher_centres is not None, "a term that needs the teacher's centres got a step without them"
    return step.teacher_centres


def teacher_dim(sizes: LossDims, term: str) -> int:
    """Width of the teacher's embedding; UserError where there is no teacher."""
    if sizes.teacher_dim is None:
        raise UserError(f"objective term {term} needs a teacher and there is none; choose teacher=... or drop the term")
    return sizes.teacher_dim


def require_classes(sizes: LossDims, term: str) -> None:
    if sizes.classes < 2:
        raise UserError(
            f"objective term {term} needs a labelled set of at least 2 identities; got {sizes.classes}; drop the term"
        )


def require_positive(term: str, option: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise UserError(f"objective term {term}: {option} is {value}; expected a positive number")


def require_within(term: str, option: str, value: float, bounds: tuple[float, float]) -> None:
    low, high = bounds
    if not low <= value <= high:
        raise UserError(f"objective term {term}: {option} is {value}; expected a number from {low:g} to {high:g}")


def channels(maps: Mapping[str, int], name: str, owner: str, term: str) -> int:
    """Channels of a named map; UserError where the network has no such map."""
    if name not in maps:
        known = ", ".join(maps) or "none at all"
        raise UserError(f"objective term {term} reads the map {name!r} of the {owner}, which has {known}")
    return maps[name]
