"""The one place that weighs, schedules and sums the terms, and reduces their values per sample."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from distill.errors import UserError
from distill.losses.base import Loss
from distill.losses.centres import Moments
from distill.types import LossDims, LossInputs


@dataclass(frozen=True)
class Schedule:
    """Factor on a term's weight: from 0 up to 1, linearly, until ``warmup_fraction`` of the run; then 1; from
    ``decay_from_fraction`` on towards ``final_factor`` at the end, along a line or a half cosine.
    """

    warmup_fraction: float = 0.0
    decay_from_fraction: float = 1.0
    final_factor: float = 1.0
    decay: Literal["linear", "cosine"] = "linear"

    def __post_init__(self) -> None:
        if not 0 <= self.warmup_fraction <= self.decay_from_fraction <= 1:
            raise UserError(
                f"schedule has warmup_fraction {self.warmup_fraction} and decay_from_fraction "
                f"{self.decay_from_fraction}; expected 0 <= warmup_fraction <= decay_from_fraction <= 1"
            )
        if not 0 <= self.final_factor < math.inf:
            raise UserError(f"schedule final_factor is {self.final_factor}; expected a number of at least 0")
        if self.decay not in ("linear", "cosine"):
            raise UserError(f"schedule decay is {self.decay!r}; expected 'linear' or 'cosine'")
        if self.final_factor != 1 and self.decay_from_fraction == 1:
            raise UserError(
                f"schedule final_factor {self.final_factor} is never reached; set decay_from_fraction below 1"
            )

    def __call__(self, progress: float) -> float:
        """Factor at ``progress``, the fraction of the run that is done."""
        if progress < self.warmup_fraction:
            # above 0 here, because progress is at least 0
            return max(progress, 0.0) / self.warmup_fraction
        if progress <= self.decay_from_fraction or self.decay_from_fraction == 1:  # no decay; 1 - 1 divides below
            return 1.0
        done = min((progress - self.decay_from_fraction) / (1 - self.decay_from_fraction), 1.0)
        if self.decay == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        return 1 + (self.final_factor - 1) * done


@dataclass(frozen=True)
class Term:
    """A loss, its weight and how the weight changes over the run. Weight 0 switches the term off."""

    loss: Loss
    weight: float = 1.0
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class LossBreakdown:
    """``loss`` is exactly the sum of ``weighted``, and each of these is weight * factor * ``raw``.

    All are scalars; only ``loss`` carries a gradient.
    """

    loss: Tensor
    raw: dict[str, Tensor]
    weighted: dict[str, Tensor]

    def nonfinite(self) -> str | None:
        """Names of the terms that are NaN or infinite, comma-separated, or None. Waits for the device."""
        bad = [name for name, value in self.weighted.items() if not torch.isfinite(value)]
        return ", ".join(bad) or None


class Objective(nn.Module):
    """The weighted sum of named terms, and the owner of the student's class centres [classes student_dim].

    A raw value is the sum over the rows that the term applies to, divided by all rows of the batch: an unlabelled row
    counts 0 in a term that needs labels, so every image weighs the same whatever mixture its batch is. A term whose
    weight is 0 is not part of the objective: it is not computed, requires nothing and has no parameters.
    Centres are a parameter, N(0, 0.01), only if a term reads them, and otherwise empty. Nothing here is exported.
    ``moments`` are the optimiser's initial state where the centres come from an earlier run (warm start).
    """

    centres: Tensor

    def __init__(self, terms: Mapping[str, Term], sizes: LossDims) -> None:
        super().__init__()
        _check(terms)
        self.terms = {name: term for name, term in terms.items() if term.weight > 0}
        self.losses = nn.ModuleDict({name: term.loss for name, term in self.terms.items()})
        if any(loss.needs_centres for loss in self._losses()):
            # arcface_torch's initial centres
            self.centres = nn.Parameter(0.01 * torch.randn(sizes.classes, sizes.student_dim))
        else:
            # not persistent: no key in checkpoints, and `step.centres` is a tensor all the same
            self.register_buffer("centres", torch.empty(0, sizes.student_dim), persistent=False)
        self.moments: Moments | None = None

    @property
    def needs_teacher(self) -> bool:
        return any(loss.needs_teacher for loss in self._losses())

    @property
    def needs_teacher_centres(self) -> bool:
        return any(loss.needs_teacher_centres for loss in self._losses())

    @property
    def needs_labels(self) -> bool:
        """Whether a term reads labels; unlabelled rows are accepted all the same."""
        return any(loss.needs_labels for loss in self._losses())

    @property
    def class_rows(self) -> tuple[str, ...]:
        """Names, in the state dict, of everything with one row per class: the centres and the terms' own."""
        own = ("centres",) if isinstance(self.centres, nn.Parameter) else ()
        return own + tuple(f"losses.{name}.{row}" for name, term in self.terms.items() for row in term.loss.class_rows)

    @property
    def student_maps(self) -> tuple[str, ...]:
        return _union(loss.student_maps for loss in self._losses())

    @property
    def teacher_maps(self) -> tuple[str, ...]:
        return _union(loss.teacher_maps for loss in self._losses())

    def full_maps(self) -> dict[str, tuple[str, ...]]:
        """The teacher's maps that a term needs with all their channels, by the name of the term."""
        return {
            name: term.loss.teacher_maps
            for name, term in self.terms.items()
            if term.loss.teacher_maps and not term.loss.attention_alone
        }

    def forward(self, step: LossInputs, progress: float) -> LossBreakdown:
        """The total at ``progress``, the fraction of the run that is done."""
        batch = len(step.labels)
        # `nonzero` waits for the device; only objectives with a labelled term pay for it
        labelled = step.pick((step.labels >= 0).nonzero()[:, 0]) if self.needs_labels else step
        raw, weighted = {}, {}
        total = torch.zeros((), device=step.labels.device)
        for name, term in self.terms.items():
            # (k) -> scalar; divided by b, not by k
            raw[name] = term.loss(labelled if term.loss.needs_labels else step).sum() / batch
            weighted[name] = term.weight * term.schedule(progress) * raw[name]
            # in the order of the configuration: float sums depend on it
            total = total + weighted[name]
        return LossBreakdown(total, _detached(raw), _detached(weighted))

    def _losses(self) -> Iterable[Loss]:
        return (term.loss for term in self.terms.values())


def _check(terms: Mapping[str, Term]) -> None:
    for name, term in terms.items():
        # names become keys of a ModuleDict, which refuses those of its own attributes ("keys", "train")
        if not name.isidentifier() or name in dir(nn.ModuleDict):
            raise UserError(f"objective term is named {name!r}; expected letters, digits and _, no name of PyTorch's")
        if not 0 <= term.weight < float("inf"):
            raise UserError(f"objective term {name}: weight is {term.weight}; expected a number of at least 0")
    if not any(term.weight > 0 for term in terms.values()):
        raise UserError("objective has no term with a weight above 0; expected at least one")


def _detached(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in values.items()}


def _union(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({name for group in names for name in group}))
