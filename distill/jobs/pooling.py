"""Images embedded batch by batch into sums of templates; a killed run continues at its last saved batch."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distill.atomic import write_atomic
from distill.contents import RowContents
from distill.data.ijb import LooseFaces
from distill.metrics.templates import Floats, add_images, image_weights
from distill.shown import shown
from distill.types import Embedder, UserError
from distill.waiting import waiting

SAVED_EVERY_S = 60.0


@dataclass(frozen=True)
class Pooling:
    """How images become templates: with the mirror image or not, weighed by the detector's score or not."""

    flip: bool
    detector_score: bool
    batch_size: int

    def __str__(self) -> str:
        words = ["f(x) + f(mirrored x)" if self.flip else "f(x)"]
        return " ".join([*words, "times detector score"] if self.detector_score else words)


@dataclass(frozen=True, eq=False)
class Progress:
    """Sums of templates [t d] over the first ``done`` images; ``key`` names what they were made from beside these."""

    key: str
    done: int
    sums: Floats

    def save(self, path: Path, images: str) -> None:
        """Write the file; ``images`` is the digest of the first ``done``."""
        buffer = io.BytesIO()
        key, done = np.array(self.key), np.array(self.done)
        np.savez(buffer, key=key, done=done, images=np.array(images), sums=self.sums)
        write_atomic(path, buffer.getvalue())


def pool_images(
    embedder: Embedder, faces: LooseFaces, how: Pooling, state: Path, key: str, saved_every_s: float = SAVED_EVERY_S
) -> Floats:
    """Sums [t d] of the sorted templates of ``faces``, saved in ``state``, from where the same ``key`` continues.

    What is saved counts as long as the images that are in it have the same contents.

    Raises UserError for an image that cannot be read, or whose embedding is not finite.
    """
    templates, rows = np.unique(faces.template, return_inverse=True)
    score = faces.score if how.detector_score else np.ones(len(faces))
    weights = image_weights(faces.template, faces.medium, score)
    contents = RowContents(len(faces), lambda row: [faces.path(row)], faces.folder.name)
    now = _begun(state, Progress(key, 0, np.zeros((len(templates), embedder.embedding_dim))), contents)
    if not now.done:
        contents = RowContents(len(faces), lambda row: [faces.path(row)], faces.folder.name)
    saved_s = time.monotonic()
    with waiting(f"embedding {faces.folder.name}", len(faces), "images") as progress:
        progress(now.done)
        for batch, crops in _batches(faces, now.done, how.batch_size):
            features = _embed(embedder, crops, how.flip)
            _check(features, faces, batch)
            add_images(now.sums, rows[batch], features, weights[batch])
            now = Progress(key, batch.stop, now.sums)
            progress(len(crops))
            if batch.stop == len(faces) or time.monotonic() >= saved_s + saved_every_s:
                now.save(state, contents.sha256(batch.stop))
                saved_s = time.monotonic()
    return now.sums


def _begun(path: Path, nothing: Progress, contents: RowContents) -> Progress:
    """What an earlier run left at ``path``; nothing where it is not there or was made from something else."""
    if not path.exists():
        return nothing
    try:
        with np.load(path, allow_pickle=False) as found:
            left, images = Progress(str(found["key"]), int(found["done"]), found["sums"]), str(found["images"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: holds no sums of templates; expected our own file: remove it to begin again"
        ) from error
    if left.key != nothing.key or images != contents.sha256(left.done):
        print(f"{shown(path)} was made with another network, set or options; the images are embedded again")
        return nothing
    return left


def _batches(faces: LooseFaces, start: int, size: int) -> Iterator[tuple[slice, Tensor]]:
    """Stretches of images and their crops uint8 [b 3 112 112]; the next ones are read while one is looked at."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        waiting_for: tuple[slice, list[Future[np.ndarray]]] | None = None
        for first in range(start, len(faces), size):
            batch = slice(first, min(first + size, len(faces)))
            reading = [pool.submit(faces.crop, row) for row in range(batch.start, batch.stop)]
            if waiting_for is not None:
                yield waiting_for[0], _stacked(waiting_for[1])
            waiting_for = batch, reading
        if waiting_for is not None:
            yield waiting_for[0], _stacked(waiting_for[1])


def _stacked(reading: list[Future[np.ndarray]]) -> Tensor:
    return torch.from_numpy(np.stack([crop.result() for crop in reading])).permute(0, 3, 1, 2)


def _embed(embedder: Embedder, crops: Tensor, flip: bool) -> Floats:
    with torch.no_grad():
        views = [crops, crops.flip(3)] if flip else [crops]
        return np.sum([embedder.embed(view).cpu().double().numpy() for view in views], axis=0)


def _check(features: Floats, faces: LooseFaces, batch: slice) -> None:
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        path = faces.path(batch.start + int(bad[0]))
        raise UserError(
            f"{path}: its embedding is NaN or infinite; expected finite numbers: check the network's weights"
        )
