"""Class centres of a network that has no classifier for the data: the means of its embeddings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from distill.data.decode import decode
from distill.data.faceset import DamagedImage, FaceSet
from distill.progress import waiting
from distill.types import UNLABELLED, Embedder

BATCH = 64


def mean_centres(teacher: Embedder, faces: FaceSet, classes: np.ndarray | None = None) -> Tensor:
    """Mean of the unit embeddings of each class [n t]; zero for a class without a readable image.

    Image and mirror image count alike, as they do in training. ``classes`` restricts the images; default: all.
    """
    wanted = faces.labels != UNLABELLED if classes is None else np.isin(faces.labels, classes)
    rows = np.flatnonzero(wanted)
    sums = torch.zeros(faces.classes, teacher.embedding_dim)
    with waiting("mean embeddings", len(rows), "images") as progress:
        for batch in np.array_split(rows, max(1, -(-len(rows) // BATCH))):
            kept, images = _decoded(faces, batch)
            for view in (images, images.flip(3)) if len(kept) else ():
                sums.index_add_(0, torch.from_numpy(faces.labels[kept]), normalize(teacher.embed(view).cpu(), dim=1))
            progress(len(batch))
    return normalize(sums, dim=1)


def _decoded(faces: FaceSet, rows: np.ndarray) -> tuple[np.ndarray, Tensor]:
    """The images [b 3 h w] of the rows that can be read; training reports the others."""
    found = list(_readable(faces, rows))
    kept = np.array([row for row, _ in found], np.int64)
    if not found:
        return kept, torch.empty(0)
    return kept, torch.from_numpy(np.stack([image for _, image in found])).permute(0, 3, 1, 2)


def _readable(faces: FaceSet, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for row in rows.tolist():
        try:
            yield row, decode(faces.read(row))
        except DamagedImage:
            continue
