"""Outputs that a store holds once for the complete set: class centres, and distances of verification pairs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from distill.files.atomic import write_atomic
from distill.signals.checksummed import open_sealed, sealed, verify_sealed
from distill.signals.manifest import SignalManifest
from distill.signals.store import SignalStore

CENTRES = "centres.safetensors"
CARD = "card.yaml"
"""The teacher's card, as it was when its signals were stored."""
_PIECE_IMAGES = 1 << 16


def write_centres(folder: Path, manifest: SignalManifest, centres: Tensor) -> None:
    """Write class centres [n t] in float16."""
    arrays = {"centres": centres.half().cpu().numpy()}
    write_atomic(folder / CENTRES, sealed(arrays, {"manifest": manifest.hash()}))


def read_centres(folder: Path, manifest: SignalManifest) -> Tensor:
    """Float32 class centres [n t]; ``DamagedFile`` where the contents have changed."""
    arrays = open_sealed(folder / CENTRES, {"manifest": manifest.hash()})
    verify_sealed(folder / CENTRES)
    return torch.from_numpy(arrays["centres"].astype(np.float32))


def mean_centres(store: SignalStore, labels: np.ndarray, classes: int) -> Tensor:
    """Unit means [n t], float16, of the unit embeddings of each class over all stored views; 0 for a class without any.

    ``labels`` int64 [images], negative where unknown. Memory is that of the result, 8 bytes an image and one piece.
    """
    order = np.argsort(labels, kind="stable")
    order = order[np.searchsorted(labels[order], 0) :]  # labelled images, those of a class adjacent
    centres = torch.zeros(classes, store.manifest.arrays["embedding"][0], dtype=torch.float16)
    for rows in _pieces(labels[order]):
        index = order[rows]
        present, member = np.unique(labels[index], return_inverse=True)  # (u), and (k): place of each row's class
        # (u, t) float32: in float16 a sum of many would stop growing
        sums = torch.zeros(len(present), centres.shape[1])
        for column in range(store.manifest.columns):
            found = store.rows(index, np.full(len(index), column))["embedding"].float()
            units = normalize(found.nan_to_num(0.0), dim=1)  # rows of damaged images are NaN: weight 0
            sums.index_add_(0, torch.from_numpy(member), units)
        centres[torch.from_numpy(present)] = normalize(sums, dim=1).half()
    return centres


def _pieces(labels: np.ndarray) -> Iterator[slice]:
    """Slices of sorted labels [n] that end between two classes, of about ``_PIECE_IMAGES`` each."""
    begin = 0
    while begin < len(labels):
        # extend the piece to the end of its last class, so that no mean is split
        last = labels[min(begin + _PIECE_IMAGES, len(labels)) - 1]
        end = int(np.searchsorted(labels, last, side="right"))
        yield slice(begin, end)
        begin = end


def write_distances(folder: Path, manifest: SignalManifest, pairs: str, distances: np.ndarray) -> None:
    """Write the teacher's squared distances [p] of the pairs with this fingerprint."""
    belongs = {"manifest": manifest.hash(), "pairs": pairs}
    write_atomic(distances_path(folder, pairs), sealed({"distances": distances}, belongs))


def read_distances(folder: Path, manifest: SignalManifest, pairs: str) -> np.ndarray | None:
    """The teacher's squared distances [p] of these pairs, or None where the store has none of them."""
    path = distances_path(folder, pairs)
    if not path.exists():
        return None
    arrays = open_sealed(path, {"manifest": manifest.hash(), "pairs": pairs})
    verify_sealed(path)
    return np.array(arrays["distances"])


def distances_path(folder: Path, pairs: str) -> Path:
    """The file of the distances of the pairs with this fingerprint."""
    return folder / f"pairs-{pairs[:16]}.safetensors"
