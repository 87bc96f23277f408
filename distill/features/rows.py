"""From a list of faces to the rows of its feature file, in order, with memory for a few batches.

An image is ``f(x) + f(mirrored x)``, not normalised before the sum; a video the weighted sum of its frames' unit
vectors, without mirroring. Both are normalised last. Source: ``gen_image_feature.py`` and ``gen_video_feature.py`` in
``challenges/iccv19-lfr`` of deepinsight/insightface, whose frames count alike. Where frames are compared with each
other, the embeddings of one video are held until its last frame.

Batches begin at rows that depend only on the list, so that a resumed run gives the network the same batches and gets
the same rounding.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.data.damage import Damage
from distill.data.faceset import DamagedImage
from distill.data.prefetch import ahead, batches
from distill.errors import UserError
from distill.features.face_list import FaceList
from distill.features.rule import FUSIONS, NETWORK, QAN, RowRule
from distill.features.video import frame_files, read_crop, read_video
from distill.features.writer import FeatureWriter
from distill.metrics.embedding import flip_sum, plain
from distill.metrics.fusion import checked_weights, consensus_weights, length_weights, min_max_weights, weighted_sum
from distill.types import Embedder

BLOCK_ROWS = {"image": 1024, "video": 32}
"""Rows between two flushes to the disk: seconds of work, which is what a killed run loses at most."""


_READ_AHEAD_BATCHES = 2
Crop = np.ndarray | DamagedImage


@dataclass(frozen=True)
class FaceRows:
    """Makes the rows of a list; every error names the line and the file.

    An image or frame that cannot be read is recorded in ``damage`` and left out; a row without any left is zeros.

    ``quality`` gives the weights [b 1] of frames where the rule has a separate network. ``concentrated``: the
    rule's weights are concentrations, in parts of d or as lengths, from which consensus derives the expected agreement.
    """

    faces: FaceList
    embedder: Embedder
    rule: RowRule
    batch_size: int
    quality: Embedder | None = None
    concentrated: bool = False
    damage: Damage = field(default_factory=lambda: Damage(0))

    def __post_init__(self) -> None:
        assert (self.quality is not None) == self.rule.needs_network

    def write(self, writer: FeatureWriter, progress: Callable[[int], None]) -> None:
        """Make the rows that ``writer`` does not have; ``progress`` is called with the rows of each batch."""
        block: list[NDArray[np.float32]] = []
        for features in self.made(range(writer.done, len(self.faces))):
            block.append(features)
            progress(len(features))
            if sum(map(len, block)) >= BLOCK_ROWS[self.rule.kind]:
                self._append(writer, np.concatenate(block))
                block = []
        if block:
            self._append(writer, np.concatenate(block))

    def _append(self, writer: FeatureWriter, features: NDArray[np.float32]) -> None:
        # rows of zeros, counted within the file
        writer.empty += (writer.done + np.flatnonzero(~features.any(axis=1))).tolist()
        writer.damaged = [(key[0], what) for key, what in self.damage.met.items() if isinstance(key, tuple)]
        writer.append(features)

    def made(self, rows: range) -> Iterator[NDArray[np.float32]]:
        """The rows in pieces [k d], each finite and of unit length or all zeros; ``rows`` begin where a batch does."""
        make = self._images if self.rule.kind == "image" else self._videos
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            yield from make(pool, rows)

    def _images(self, pool: ThreadPoolExecutor, rows: range) -> Iterator[NDArray[np.float32]]:
        read = ahead(pool, self._image, rows, self._read_ahead)
        for batch, numbers in zip(batches(read, self.batch_size), batches(rows, self.batch_size), strict=True):
            features = self._no_features(len(batch))
            crops = [self._whole(row, self.faces.path(row), crop) for row, crop in zip(numbers, batch, strict=True)]
            whole = [place for place, crop in enumerate(crops) if crop is not None]
            if whole:
                found = self._embed(_stacked([crop for crop in crops if crop is not None]))
                features[whole] = self._unit(found, [numbers[place] for place in whole])
            yield features

    def _videos(self, pool: ThreadPoolExecutor, rows: range) -> Iterator[NDArray[np.float32]]:
        for row in rows:
            frames = self._frames(pool, row)
            first = next(frames, None)
            there = first is not None
            yield self._unit(self._video(chain([first], frames), row)[None], [row]) if there else self._no_features(1)

    def _no_features(self, rows: int) -> NDArray[np.float32]:
        return np.zeros((rows, self.embedder.embedding_dim), np.float32)

    def _video(self, frames: Iterable[np.ndarray], row: int) -> NDArray[np.float64]:
        """The weighted sum [d] of a video's frames."""
        place = self.faces.place(row)
        weighed = (self._weighed(_stacked(b), place) for b in batches(frames, self.batch_size))
        if not self.rule.compares_frames:
            return np.sum([weighted_sum(found, weights, place) for found, weights in weighed], axis=0)
        found, weights = (np.concatenate(parts) for parts in zip(*weighed, strict=True))
        if self.rule.fusion == QAN:
            # times the lengths: the Trojans add the embeddings as they are
            return weighted_sum(found, min_max_weights(weights, place) * length_weights(found), place)
        return weighted_sum(found, weights * consensus_weights(found, self._expected(weights), name=place), place)

    def _expected(self, weights: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """The concentrations [f] of frames in parts of d, where their weights are that."""
        if not self.concentrated:
            return None
        return weights if self.rule.fusion == NETWORK else weights / self.embedder.embedding_dim

    def _weighed(self, images: Tensor, place: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Embeddings [b d] of frames, and their weights [b]."""
        found = self._embed(images)
        if self.quality is not None:
            quality = plain(self.quality, images)[:, 0]
            return found, quality if self.rule.fusion == QAN else checked_weights(quality, len(found), place)
        assert self.rule.fusion is not None
        return found, FUSIONS[self.rule.fusion](found)

    def _image(self, row: int) -> Crop:
        return _crop(self.faces.path(row))

    def _frames(self, pool: ThreadPoolExecutor, row: int) -> Iterator[np.ndarray]:
        """The frames of a video that can be read; of a file, those before the first that cannot."""
        path = self.faces.path(row)
        if not path.is_dir():
            try:
                yield from read_video(path)
            except DamagedImage as damaged:
                self._whole(row, path, damaged)
            return
        files = frame_files(path)
        for file, crop in zip(files, ahead(pool, _crop, files, self._read_ahead), strict=True):
            if (frame := self._whole(row, file, crop)) is not None:
                yield frame

    def _whole(self, row: int, path: Path, crop: Crop) -> np.ndarray | None:
        """The picture, or None if it is damaged, which is recorded."""
        if isinstance(crop, DamagedImage):
            self.damage.note((row, str(path)), f"{self.faces.lines.place(row)}: {path}: {crop}")
            return None
        return crop

    def _embed(self, images: Tensor) -> NDArray[np.float64]:
        """Embeddings [b d] of crops [b 3 112 112], plus those of the mirror images if the rule has ``flip``."""
        return (flip_sum if self.rule.flip else plain)(self.embedder, images)

    def _unit(self, sums: NDArray[np.float64], rows: list[int]) -> NDArray[np.float32]:
        length = np.sqrt((sums**2).sum(axis=1, keepdims=True))
        # before dividing: a NaN row in the file would be found only by its reader
        bad = np.flatnonzero(~(np.isfinite(length) & (length > 0)))
        if len(bad):
            raise UserError(
                f"{self.faces.place(rows[bad[0]])}: its embedding is zero, NaN or infinite; expected a finite one: "
                "check the network's weights and preprocessing"
            )
        return (sums / length).astype(np.float32)

    @property
    def _read_ahead(self) -> int:
        return _READ_AHEAD_BATCHES * self.batch_size


def _crop(path: Path) -> Crop:
    """The crop in a file, or its damage: threads return it, the main thread counts it."""
    try:
        return read_crop(path)
    except DamagedImage as damaged:
        return damaged


def _stacked(crops: Sequence[np.ndarray]) -> Tensor:
    """Crops [112 112 3] as [b 3 112 112]."""
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
