"""Order of the images, and the batches that workers make of them.

The order is a pure function of seed and step number, so that a run can resume at any step: the data set is repeated,
each visit (pass) in a permutation of its own, and batch k takes the positions from k times the global batch onwards.
A batch may reach over the end of a visit into the next; nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NotRequired, Protocol, TypedDict

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from distill.data.decode import decode
from distill.data.faceset import DamagedImage, FaceSet
from distill.data.views import Views
from distill.errors import UserError
from distill.types import CROP_PX


@dataclass(frozen=True)
class Plan:
    """Number and size of a run's batches, and the number of batches between two checkpoints.

    ``batch_size`` is that of one process; ``total_steps`` counts batches. ``steps_done`` and ``intervals_done`` count
    those before the run was resumed, whatever its intervals were then.
    """

    batch_size: int
    total_steps: int
    steps_per_interval: int
    seed: int
    steps_done: int = 0
    intervals_done: int = 0

    def __post_init__(self) -> None:
        for name in ("batch_size", "total_steps", "steps_per_interval"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; expected at least 1")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"seed is {self.seed}; expected 0 to 2^63-1")


class StepOrder(Sampler[np.ndarray]):
    """Yields the batches of one interval, each as int64 [b 2]: image index and visit.

    An interval is an epoch to Lightning, and ``set_epoch`` selects it; the first is the one at which the run resumes.
    Of the global batch each of ``world`` processes takes every ``world``-th position, from its ``rank`` on. ``images``
    is their number, or the indices [n] of those that are shown.
    """

    def __init__(self, images: int | np.ndarray, plan: Plan, rank: int = 0, world: int = 1) -> None:
        self._images, self._plan = images, plan
        self._rank, self._world = rank, world
        self._interval = plan.intervals_done
        self._orders: dict[int, np.ndarray] = {}

    def set_epoch(self, epoch: int) -> None:
        """Select the interval, counted from the beginning of the run."""
        self._interval = epoch

    def _steps(self) -> range:
        plan = self._plan
        # intervals of this part of the run only: those before a resume may have had another length
        begin = plan.steps_done + (self._interval - plan.intervals_done) * plan.steps_per_interval
        return range(begin, min(begin + plan.steps_per_interval, plan.total_steps))

    def __len__(self) -> int:
        return len(self._steps())

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.batch(step) for step in self._steps())

    def batch(self, step: int) -> np.ndarray:
        """The images of this process in global step ``step``: int64 [b 2] of index and visit."""
        begin = step * self._plan.batch_size * self._world + self._rank
        positions = begin + self._world * np.arange(self._plan.batch_size)  # (b), counted over all visits
        count = self._images if isinstance(self._images, int) else len(self._images)
        visits, places = np.divmod(positions, count)  # (b) each: visit, and position in its permutation
        # positions ascend, hence visits do: concatenating visit by visit keeps the batch's order
        rows = [self._order(int(v))[places[visits == v]] for v in np.unique(visits)]
        return np.stack([np.concatenate(rows), visits], 1)

    def _order(self, visit: int) -> np.ndarray:
        """The permutation [n] of one visit; the last two are kept, 8 bytes an image."""
        if visit not in self._orders:
            # two: a batch may span a visit's end; the older one is not needed again
            while len(self._orders) > 1:
                del self._orders[min(self._orders)]
            # its own generator per visit, so that no earlier visit has to be drawn to resume in this one
            self._orders[visit] = np.random.default_rng([self._plan.seed, visit]).permutation(self._images)
        return self._orders[visit]


class FaceBatch(TypedDict):
    """One batch of the loader.

    ``images`` RGB uint8 [b 3 112 112], channels last in memory; ``labels`` int64 [b], ``UNLABELLED`` where unknown;
    ``index`` int64 [b], the image that is actually in the row; ``damaged``: images that were found and replaced;
    ``stored``: the teacher's stored outputs for exactly these views, by name, where there is a store.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    damaged: list[tuple[int, str]]
    stored: NotRequired[dict[str, Tensor]]


class StoredRows(Protocol):
    """The loader's view of a store of teacher outputs."""

    def check(self, index: int, encoded: bytes) -> None:
        """Raise ``DamagedImage`` where the store was not made of this image."""
        ...

    def rows(self, index: np.ndarray, column: np.ndarray) -> dict[str, Tensor]:
        """The named outputs [b ...] for images [b] and columns [b]."""
        ...


class FaceBatches(Dataset[FaceBatch]):
    """Reads, decodes and augments one batch for rows [b 2] of (index, visit); with a store, reads its rows too."""

    def __init__(self, faces: FaceSet, views: Views, max_damaged: int, store: StoredRows | None = None) -> None:
        self._faces, self._views, self._store = faces, views, store
        # one more than a run tolerates: then the main process has stopped it
        self._tries = min(max_damaged + 1, len(faces))

    def __getitem__(self, rows: np.ndarray) -> FaceBatch:
        images = np.empty((len(rows), CROP_PX, CROP_PX, 3), np.uint8)  # (b, 112, 112, 3)
        taken, columns = np.empty((2, len(rows)), np.int64)  # (b) each: image in the row, column of the store
        damaged: list[tuple[int, str]] = []
        for row, (index, visit) in enumerate(rows.tolist()):
            taken[row], image = self._image(index, damaged)
            images[row], columns[row] = self._views.show(image, int(taken[row]), visit)
        batch = FaceBatch(
            # (b, 3, 112, 112) without a copy: its strides are channels-last already
            images=torch.from_numpy(images).permute(0, 3, 1, 2),
            # of the image that took the place, not of the damaged one
            labels=torch.from_numpy(self._faces.labels[taken]),
            index=torch.from_numpy(taken),
            damaged=damaged,
        )
        if self._store is not None:
            batch["stored"] = self._store.rows(taken, columns)
        return batch

    def _image(self, index: int, damaged: list[tuple[int, str]]) -> tuple[int, np.ndarray]:
        """The image, or the next readable one after it; every damaged one on the way is recorded.

        If the tries run out, more are recorded than the run tolerates, and the main process stops it in ``Damage``.
        """
        for candidate in ((index + k) % len(self._faces) for k in range(self._tries)):
            try:
                encoded = self._faces.read(candidate)
                if self._store is not None:
                    self._store.check(candidate, encoded)
                return candidate, decode(encoded)
            except DamagedImage as damage:
                damaged.append((candidate, f"{self._faces.name(candidate)}: {damage}"))
        # never trained on: ``Damage`` raises before this batch reaches the device
        return index, np.zeros((CROP_PX, CROP_PX, 3), np.uint8)


def as_it_is(batch: Any) -> Any:
    """The worker makes complete batches; there is nothing to collate."""
    return batch


def use_one_thread(_: int) -> None:
    """A crop is too small for threads to pay off, and OpenCV would start a thread pool in every worker."""
    cv2.setNumThreads(0)
