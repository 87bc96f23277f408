"""From faces and a teacher to the shards of a store; each shard is written atomically by the process that claims it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from distill.data.batches import as_it_is, use_one_thread
from distill.data.damage import Damage
from distill.data.decode import decode
from distill.data.faceset import DamagedImage, FaceSet
from distill.data.module import worker_context
from distill.data.views import StoredViews
from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.files.claims import Claims
from distill.signals.manifest import SignalManifest
from distill.signals.store import DIGEST, encode, shard_path
from distill.types import CROP_PX, Output

NO_IMAGE = 0
"""Digest of an image that could not be read; its outputs are NaN."""


_LEAST_SHARD, _MOST_SHARD, _SHARDS = 1 << 10, 1 << 17, 256


class OutputsOf(Protocol):
    """The writer's view of a teacher: its output for RGB uint8 crops [b 3 h w]."""

    def output(self, images: Tensor, maps: bool) -> Output: ...


@dataclass(frozen=True)
class FlipSum:
    """The sum of a teacher's embeddings of an image and of its mirror image, not normalised (LFR 2019)."""

    teacher: OutputsOf

    def output(self, images: Tensor, maps: bool) -> Output:
        embeddings = [self.teacher.output(x, maps=False).embedding for x in (images, images.flip(-1))]
        return Output(embeddings[0] + embeddings[1])


def shard_images(images: int) -> int:
    """Images per shard: so few that a lost one costs little, so many that there are some hundreds of files."""
    size = _LEAST_SHARD
    while size < _MOST_SHARD and size * _SHARDS < images:
        size *= 2
    return size


class ViewBatch(TypedDict):
    """Images [b] of one shard: their views uint8 [b columns 3 112 112] and digests; ``damaged``: image to reason."""

    shard: int
    views: Tensor
    digests: np.ndarray
    damaged: dict[int, str]


class ViewBatches(Dataset[ViewBatch]):
    """All columns of the images (shard, first, end)."""

    def __init__(self, faces: FaceSet, views: StoredViews) -> None:
        self._faces, self._views = faces, views

    def __getitem__(self, stretch: tuple[int, int, int]) -> ViewBatch:
        shard, first, end = stretch
        # (b, columns, 112, 112, 3)
        pixels = np.zeros((end - first, self._views.columns, CROP_PX, CROP_PX, 3), np.uint8)
        # replaced below for images that can be read
        digests = np.full(end - first, NO_IMAGE, np.uint64)
        damaged: dict[int, str] = {}
        for row, index in enumerate(range(first, end)):
            try:
                encoded = self._faces.read(index)
                image = decode(encoded)
            except DamagedImage as damage:
                damaged[index] = f"{self._faces.name(index)}: {damage}"
                continue
            digests[row] = self._faces.digest(index, encoded)
            for column in range(self._views.columns):
                pixels[row, column] = self._views.column(image, index, column)
        return ViewBatch(
            shard=shard, views=torch.from_numpy(pixels).permute(0, 1, 4, 2, 3), digests=digests, damaged=damaged
        )


@dataclass
class Writer:
    """Writes the shards that are missing and that no other process has claimed.

    ``progress`` gets the number of images of each finished batch. Damaged images are recorded in ``damage`` and stored
    as NaN. Memory is bounded by one shard and a few batches.
    """

    folder: Path
    manifest: SignalManifest
    teacher: OutputsOf
    batch_images: int
    workers: int
    damage: Damage

    def write(self, faces: FaceSet, views: StoredViews, claims: Claims, progress: Callable[[int], None]) -> int:
        """Write the missing shards that can be claimed; returns the number of shards written."""
        loader = DataLoader(
            ViewBatches(faces, views),
            batch_size=None,
            sampler=self._stretches(claims),  # pyright: ignore[reportArgumentType]
            num_workers=self.workers,
            collate_fn=as_it_is,
            worker_init_fn=use_one_thread,
            multiprocessing_context=worker_context() if self.workers else None,
        )
        written, rows = 0, Rows()
        for batch in loader:
            for index, what in batch["damaged"].items():
                self.damage.note(index, what)
            rows.add(batch["digests"], self._outputs(batch["views"]))
            progress(len(batch["digests"]))
            # the loader keeps the order of the sampler: batches of two shards never mix
            if len(rows) == len(self.manifest.rows(batch["shard"])):
                self._save(batch["shard"], rows.taken())
                claims.free(batch["shard"])
                written += 1
        return written

    def _stretches(self, claims: Claims) -> Iterator[tuple[int, int, int]]:
        """The next batches to make, shard by shard; a shard is claimed when its first batch is requested."""
        for shard in range(self.manifest.shards):
            if shard_path(self.folder, shard).exists() or not claims.take(shard):
                continue
            if shard_path(self.folder, shard).exists():  # written between check and claim
                claims.free(shard)
                continue
            rows = self.manifest.rows(shard)
            for first in range(rows.start, rows.stop, self.batch_images):
                yield shard, first, min(first + self.batch_images, rows.stop)

    def _outputs(self, views: Tensor) -> dict[str, np.ndarray]:
        """Every array [b columns ...] of a batch of views [b columns 3 h w], in float16."""
        # (b * columns, 3, 112, 112)
        found = self.teacher.output(views.flatten(0, 1), maps=len(self.manifest.arrays) > 1)
        values = {"embedding": found.embedding, **{n: attention_of(m) for n, m in found.maps.items()}}
        # back to (b, columns, ...)
        stored = {n: values[n].unflatten(0, views.shape[:2]).half().cpu().numpy() for n in self.manifest.arrays}
        for name, array in stored.items():
            # checked after .half(), which overflows above 65,504
            if not np.isfinite(array).all():
                raise UserError(
                    f"the teacher's {name} is NaN, infinite or beyond float16 (65,504) for some image; expected "
                    "finite values: such a teacher can only be used live, if at all"
                )
        return stored

    def _save(self, shard: int, arrays: dict[str, np.ndarray]) -> None:
        lost = arrays[DIGEST] == NO_IMAGE
        for name in self.manifest.arrays:
            arrays[name][lost] = np.nan  # training skips these rows by their digest; NaN makes a misuse visible
        write_atomic(shard_path(self.folder, shard), encode(self.manifest, shard, arrays))


class Rows:
    """Gathers the batches of one shard."""

    def __init__(self) -> None:
        self._parts: dict[str, list[np.ndarray]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._parts.get(DIGEST, [])))

    def add(self, digests: np.ndarray, outputs: Mapping[str, np.ndarray]) -> None:
        for name, array in {**outputs, DIGEST: digests}.items():
            self._parts.setdefault(name, []).append(array)

    def taken(self) -> dict[str, np.ndarray]:
        """All rows; the buffer is empty afterwards."""
        parts, self._parts = self._parts, {}
        return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def attention_of(x: Tensor) -> Tensor:
    """Root mean square over channels [b 1 h w] of a map [b c h w]: one channel with the same attention (power 2)."""
    return x.square().mean(1, keepdim=True).sqrt()
