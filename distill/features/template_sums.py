"""Images embedded batch by batch into sums of templates; a killed run continues at its last saved batch."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from distill.data.damage import Damage
from distill.data.faceset import DamagedImage
from distill.data.ijb import LooseFaces
from distill.data.prefetch import ahead, batches
from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.files.contents import RowContents
from distill.metrics.templates import Floats, add_images, image_weights
from distill.progress import waiting
from distill.shown import shown
from distill.types import Embedder

SAVED_EVERY_S = 60.0
Crop = NDArray[np.uint8] | DamagedImage


@dataclass(frozen=True)
class Pooling:
    """Pooling of images into templates: with the mirror image or not, weighted by the detector's score or not."""

    flip: bool
    detector_score: bool
    batch_size: int

    def __str__(self) -> str:
        words = ["f(x) + f(mirrored x)" if self.flip else "f(x)"]
        return " ".join([*words, "times detector score"] if self.detector_score else words)


@dataclass(frozen=True, eq=False)
class Progress:
    """Sums of templates [t d] over the first ``done`` images; ``key`` identifies all other inputs.

    ``damaged`` are the rows of images that are not in the sums, with the reason for each.
    """

    key: str
    done: int
    sums: Floats
    damaged: dict[int, str]

    def save(self, path: Path, images: str) -> None:
        """Write the file; ``images`` is the digest of the first ``done``."""
        buffer = io.BytesIO()
        key, done = np.array(self.key), np.array(self.done)
        damaged = np.array(json.dumps(list(self.damaged.items())))
        np.savez(buffer, key=key, done=done, images=np.array(images), sums=self.sums, damaged=damaged)
        write_atomic(path, buffer.getvalue())


class Bound(NamedTuple):
    """The file of the sums, and the key of their inputs: a run with the same key resumes."""

    state: Path
    key: str


def pool_images(
    embedder: Embedder,
    faces: LooseFaces,
    how: Pooling,
    bound: Bound,
    damage: Damage,
    saved_every_s: float = SAVED_EVERY_S,
) -> Floats:
    """Sums [t d] of the sorted templates of ``faces``, kept in the file that ``bound`` names.

    Saved sums are valid as long as their images have the same contents. An image that cannot be read is recorded in
    ``damage`` by its row; the others of its medium take its weight, and a template without any left is zeros.
    Raises UserError for an embedding that is not finite.
    """
    state, key = bound
    templates, rows = np.unique(faces.template, return_inverse=True)
    score = faces.score if how.detector_score else np.ones(len(faces))
    weights = image_weights(faces.template, faces.medium, score)
    contents = RowContents(len(faces), lambda row: [faces.path(row)], faces.folder.name)
    now = _begun(state, Progress(key, 0, np.zeros((len(templates), embedder.embedding_dim)), {}), contents)
    if not now.done:
        contents = RowContents(len(faces), lambda row: [faces.path(row)], faces.folder.name)
    for row, what in now.damaged.items():
        damage.recall(row, what)
    saved_s = time.monotonic()
    with waiting(f"embedding {faces.folder.name}", len(faces), "images") as progress:
        progress(now.done)
        for batch, crops in _batches(faces, range(now.done, len(faces)), how.batch_size):
            whole = _whole(faces, batch, crops, now.damaged, damage)
            if len(whole):
                features = _embed(embedder, faces, how, whole, [crops[row - batch.start] for row in whole])
                add_images(now.sums, rows[whole], features, weights[whole])
            now = Progress(key, batch.stop, now.sums, now.damaged)
            progress(len(crops))
            # writing t x d sums takes seconds
            if batch.stop == len(faces) or time.monotonic() >= saved_s + saved_every_s:
                now.save(state, contents.sha256(batch.stop))
                saved_s = time.monotonic()
    return now.sums + _made_up(embedder, faces, how, score, now)


def _made_up(embedder: Embedder, faces: LooseFaces, how: Pooling, score: Floats, now: Progress) -> Floats:
    """The correction [t d] of the sums for damaged images: weights of the others of their media were too small."""
    lacking = np.zeros_like(now.sums)
    lost = np.isin(np.arange(len(faces)), list(now.damaged))
    beside = _same_medium(faces, lost) & ~lost
    if not beside.any():
        return lacking
    _, rows = np.unique(faces.template, return_inverse=True)
    weights = np.zeros(len(faces))
    weights[beside] = image_weights(faces.template[beside], faces.medium[beside], score[beside])
    # new weight minus the one already in the sums
    weights -= np.where(beside, image_weights(faces.template, faces.medium, score), 0)
    for row in np.flatnonzero(beside).tolist():
        features = _embed(embedder, faces, how, np.array([row]), [faces.crop(row)])
        add_images(lacking, rows[[row]], features, weights[[row]])
    return lacking


def _same_medium(faces: LooseFaces, some: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which images [n] share medium and template with one of ``some`` [n]."""
    _, place = np.unique(np.stack([faces.template, faces.medium]), axis=1, return_inverse=True)
    return np.isin(place.reshape(-1), place.reshape(-1)[some])


def _begun(path: Path, nothing: Progress, contents: RowContents) -> Progress:
    """The progress of an earlier run at ``path``; ``nothing`` if there is none or its inputs differ."""
    if not path.exists():
        return nothing
    try:
        with np.load(path, allow_pickle=False) as found:
            damaged = dict(json.loads(str(found["damaged"]))) if "damaged" in found else {}
            left = Progress(str(found["key"]), int(found["done"]), found["sums"], damaged)
            images = str(found["images"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: holds no sums of templates; expected our own file: remove it to begin again"
        ) from error
    if left.key != nothing.key or images != contents.sha256(left.done):
        print(f"{shown(path)} was made with another network, set or options; the images are embedded again")
        return nothing
    return left


def _batches(faces: LooseFaces, rows: range, size: int) -> Iterator[tuple[range, list[Crop]]]:
    """Batches of rows and their crops; the next ones are read while one is embedded."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        crops = ahead(pool, lambda row: _crop(faces, row), rows, 2 * size)
        for batch in batches(crops, size):
            yield rows[: len(batch)], batch
            rows = rows[len(batch) :]


def _crop(faces: LooseFaces, row: int) -> Crop:
    """A crop [112 112 3], or the damage: threads return it, the main thread counts it."""
    try:
        return faces.crop(row)
    except DamagedImage as damaged:
        return damaged


def _whole(
    faces: LooseFaces, batch: range, crops: list[Crop], damaged: dict[int, str], damage: Damage
) -> NDArray[np.int64]:
    """The rows of a batch that have a crop; the others are recorded as damaged."""
    for row, crop in zip(batch, crops, strict=True):
        if isinstance(crop, DamagedImage):
            damaged[row] = f"{faces.path(row)}: {crop}"
            damage.note(row, damaged[row])
    return np.array([row for row in batch if row not in damaged], np.int64)


def _embed(embedder: Embedder, faces: LooseFaces, how: Pooling, rows: NDArray[np.int64], crops: list[Crop]) -> Floats:
    """Embeddings [k d] of the crops of some rows, plus those of the mirror images with ``flip``."""
    images = torch.from_numpy(np.stack([np.asarray(crop) for crop in crops])).permute(0, 3, 1, 2)
    with torch.no_grad():
        views = [images, images.flip(3)] if how.flip else [images]
        features = np.sum([embedder.embed(view).cpu().double().numpy() for view in views], axis=0)
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        path = faces.path(int(rows[bad[0]]))
        raise UserError(
            f"{path}: its embedding is NaN or infinite; expected finite numbers: check the network's weights"
        )
    return features
