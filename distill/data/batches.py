"""Which image comes when, and what a worker makes of it.

The order is a pure function of the seed and of the step's number, so that any step can be the first: the data set is
gone through again and again, each visit in an order of its own, and batch k takes the positions from k times the global
batch onwards. A batch may reach over the end of a visit into the next; nothing is dropped.
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
    """How many batches of how many images a run has in all, and how many lie between two checkpoints.

    ``batch_size`` is that of one process; ``total_steps`` counts batches. ``steps_done`` of them and ``intervals_done``
    were those of the run before it went on, whatever its intervals were.
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

    An interval is what Lightning calls an epoch, and ``set_epoch`` chooses it, first that at which the run goes on. Of
    the global batch each of ``world`` processes takes every ``world``-th position, beginning with its ``rank``.
    ``images`` is their number, or which ones [n] are shown at all.
    """

    def __init__(self, images: int | np.ndarray, plan: Plan, rank: int = 0, world: int = 1) -> None:
        self._images, self._plan = images, plan
        self._rank, self._world = rank, world
        self._interval = plan.intervals_done
        self._orders: dict[int, np.ndarray] = {}

    def set_epoch(self, epoch: int) -> None:
        """Choose the interval, counted from the beginning of the run."""
        self._interval = epoch

    def _steps(self) -> range:
        plan = self._plan
        begin = plan.steps_done + (self._interval - plan.intervals_done) * plan.steps_per_interval
        return range(begin, min(begin + plan.steps_per_interval, plan.total_steps))

    def __len__(self) -> int:
        return len(self._steps())

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.batch(step) for step in self._steps())

    def batch(self, step: int) -> np.ndarray:
        """The images of this process in global step ``step``: int64 [b 2] of index and visit."""
        begin = step * self._plan.batch_size * self._world + self._rank
        positions = begin + self._world * np.arange(self._plan.batch_size)
        count = self._images if isinstance(self._images, int) else len(self._images)
        visits, places = np.divmod(positions, count)
        rows = [self._order(int(v))[places[visits == v]] for v in np.unique(visits)]
        return np.stack([np.concatenate(rows), visits], 1)

    def _order(self, visit: int) -> np.ndarray:
        """The permutation of one visit; of a large set the last two are kept, 8 bytes an image."""
        if visit not in self._orders:
            while len(self._orders) > 1:
                del self._orders[min(self._orders)]
            self._orders[visit] = np.random.default_rng([self._plan.seed, visit]).permutation(self._images)
        return self._orders[visit]


class FaceBatch(TypedDict):
    """One batch as the loader gives it.

    ``images`` RGB uint8 [b 3 112 112], channels last in memory; ``labels`` int64 [b], ``UNLABELLED`` where unknown;
    ``index`` int64 [b], the image that is really in the row; ``damaged``: images that were met and replaced;
    ``stored``: the teacher's stored outputs for just these views, by name, where there is a store.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    damaged: list[tuple[int, str]]
    stored: NotRequired[dict[str, Tensor]]


class StoredRows(Protocol):
    """A store of teacher outputs, as batches read it."""

    def check(self, index: int, encoded: bytes) -> None:
        """Raise ``DamagedImage`` where the store was not made of this image."""
        ...

    def rows(self, index: np.ndarray, column: np.ndarray) -> dict[str, Tensor]:
        """The named outputs [b ...] for images [b] and columns [b]."""
        ...


class FaceBatches(Dataset[FaceBatch]):
    """Reads, decodes and augments one whole batch for rows [b 2] of (index, visit); with a store, its rows too."""

    def __init__(self, faces: FaceSet, views: Views, max_damaged: int, store: StoredRows | None = None) -> None:
        self._faces, self._views, self._store = faces, views, store
        self._tries = min(max_damaged + 1, len(faces))

    def __getitem__(self, rows: np.ndarray) -> FaceBatch:
        images = np.empty((len(rows), CROP_PX, CROP_PX, 3), np.uint8)
        taken, columns = np.empty((2, len(rows)), np.int64)
        damaged: list[tuple[int, str]] = []
        for row, (index, visit) in enumerate(rows.tolist()):
            taken[row], image = self._image(index, damaged)
            images[row], columns[row] = self._views.show(image, int(taken[row]), visit)
        batch = FaceBatch(
            images=torch.from_numpy(images).permute(0, 3, 1, 2),
            labels=torch.from_numpy(self._faces.labels[taken]),
            index=torch.from_numpy(taken),
            damaged=damaged,
        )
        if self._store is not None:
            batch["stored"] = self._store.rows(taken, columns)
        return batch

    def _image(self, index: int, damaged: list[tuple[int, str]]) -> tuple[int, np.ndarray]:
        """The image, or the next whole one after it; every damaged one on the way is noted.

        Where the tries run out, more are noted than a run may meet, and the main process ends it in ``Damage``.
        """
        for candidate in ((index + k) % len(self._faces) for k in range(self._tries)):
            try:
                encoded = self._faces.read(candidate)
                if self._store is not None:
                    self._store.check(candidate, encoded)
                return candidate, decode(encoded)
            except DamagedImage as damage:
                damaged.append((candidate, f"{self._faces.name(candidate)}: {damage}"))
        return index, np.zeros((CROP_PX, CROP_PX, 3), np.uint8)


def as_it_is(batch: Any) -> Any:
    """A batch is made whole in the worker; there is nothing to collate."""
    return batch


def use_one_thread(_: int) -> None:
    """An image is too small to share out, and OpenCV would start a pool of threads in every worker."""
    cv2.setNumThreads(0)
