"""Vetting the new drops of a night by the signals of its teacher, which are read a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from torch.nn.functional import normalize

from distill.data.faceset import spread
from distill.nightly.findings import Looked, unvetted, vetted
from distill.nightly.frozen import parts_of, vetted_labels
from distill.nightly.manifest import Manifest
from distill.nightly.verdicts import Verdicts
from distill.nightly.vetting import Known, Limits, People
from distill.signals.store import SignalStore, Store
from distill.types import UNLABELLED

_PIECE_IMAGES = 1 << 14
_SAMPLE_IMAGES = 1 << 14
"""Known pictures that tell what is usual."""


def vet(manifest: Manifest, before: Verdicts | None, stores: Sequence[Path], limits: Limits) -> Verdicts:
    """The verdicts on a night's data. ``stores`` are the signals of its drops, in order; none of them: files alone.

    ``before`` are those of the last finished night: what they doubt stays without its label.
    """
    so_far = unvetted(manifest, before)
    if not stores or manifest.known_images == len(manifest):
        return so_far
    parts = [Store(folder, part) for folder, part in zip(stores, parts_of(manifest), strict=True)]
    known = [store for store, drop in zip(parts, _used(manifest), strict=True) if drop < manifest.known]
    new = np.concatenate([e for store in parts[len(known) :] for e in _embeddings(store)])
    labels = vetted_labels(manifest, so_far)[: manifest.known_images]
    return vetted(manifest, so_far, Looked(_known(known, labels, len(manifest.people), new.shape[1]), new), limits)


def _used(manifest: Manifest) -> list[int]:
    """The numbers of the drops that have pictures."""
    return [number for number, drop in enumerate(manifest.drops) if len(drop)]


def _known(stores: Sequence[SignalStore], labels: np.ndarray, classes: int, width: int) -> Known:
    """What the labelled pictures of earlier nights say of people: sums over all, and a sample spread over them."""
    sums, counts = np.zeros((classes, width), np.float32), np.zeros(classes, np.int64)
    chosen = np.zeros(len(labels), bool)
    chosen[spread(_SAMPLE_IMAGES, len(labels))] = True
    sample, begin = [np.empty((0, width), np.float32)], 0
    whose = [np.empty(0, np.int64)]
    for embeddings in (piece for store in stores for piece in _embeddings(store)):
        rows = slice(begin, begin + len(embeddings))
        own = np.where(np.isfinite(embeddings).all(1), labels[rows], UNLABELLED)
        use = own != UNLABELLED
        np.add.at(sums, own[use], embeddings[use])
        counts += np.bincount(own[use], minlength=classes)
        some = use & chosen[rows]
        sample.append(embeddings[some])
        whose.append(own[some])
        begin = rows.stop
    return Known(People(sums, counts), np.concatenate(sample), np.concatenate(whose))


def _embeddings(store: SignalStore) -> Iterator[np.ndarray]:
    """Unit sums of the unit embeddings of all views of each image: float32 [n d] a piece; NaN where there is none."""
    for first in range(0, store.manifest.images, _PIECE_IMAGES):
        index = np.arange(first, min(first + _PIECE_IMAGES, store.manifest.images))
        views = [
            normalize(store.rows(index, np.full(len(index), column))["embedding"].float(), dim=1)
            for column in range(store.manifest.columns)
        ]
        yield normalize(sum(views[1:], views[0]), dim=1).numpy()
