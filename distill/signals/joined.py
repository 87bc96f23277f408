"""The signals of several drops as one store: each drop's are written once, and a night only lists its drops.

A joined store is a folder with the manifest of an ordinary one, class centres, distances and card; in place of shards
it has ``parts.json``, which names the stores of the drops.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.data.augment import Augmentation
from distill.data.faceset import FaceSet, InParts
from distill.data.views import FixedViews, Views
from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.files.json_file import from_plain, read_json
from distill.signals.manifest import MANIFEST, SignalManifest, first_difference, read_manifest
from distill.signals.store import SignalStore, Store, views_of

PARTS = "parts.json"
_SAME = ("teacher", "views", "arrays")


@dataclass(frozen=True)
class DropViews(Views):
    """Fixed views, which are drawn by a picture's row [n] in its drop, not by its place among all drops."""

    views: FixedViews
    rows: np.ndarray

    def show(self, image: np.ndarray, index: int, visit: int) -> tuple[np.ndarray, int]:
        return self.views.show(image, int(self.rows[index]), visit)


class JoinedStore:
    """The rows of all parts of a set, e.g. a night's drops. Can be sent to another process, as a ``Store`` can.

    Opening checks that the parts are those of the drops and of one teacher; raises ``UserError`` otherwise.
    """

    def __init__(self, folder: Path, faces: InParts) -> None:
        self.folder, self.manifest = folder, read_manifest(folder)
        self._places = faces.places
        folders = _read_parts(folder)
        if len(folders) != len(faces.parts):
            raise UserError(
                f"{folder / PARTS}: names {len(folders)} stores, but there are {len(faces.parts)} drops with pictures; "
                "expected one each: run the night's stage `vet` again"
            )
        # order of the drops
        self._parts = [Store(place, part) for place, part in zip(folders, faces.parts, strict=True)]
        for store, part in zip(self._parts, faces.parts, strict=True):
            _require_part(store, part, self.manifest)

    def verify(self, progress: Callable[[int], None]) -> None:
        """Check every byte of every part."""
        for part in self._parts:
            part.verify(progress)

    def check(self, index: int, encoded: bytes) -> None:
        """Raise ``DamagedImage`` where the stored row was made of another image than this, or of a damaged one."""
        self._parts[self._places.part[index]].check(int(self._places.row[index]), encoded)

    def rows(self, index: np.ndarray, column: np.ndarray) -> dict[str, Tensor]:
        """Every output, float16 [b ...], for images [b] and their columns [b]."""
        part, row = self._places.part[index], self._places.row[index]  # (b) each
        # one read per part, scattered back to the rows of the batch
        found = {n: torch.empty(len(index), *s, dtype=torch.float16) for n, s in self.manifest.arrays.items()}
        for which in np.unique(part).tolist():
            here = np.flatnonzero(part == which)
            for name, values in self._parts[which].rows(row[here], column[here]).items():
                found[name][torch.from_numpy(here)] = values
        return found

    def views(self, augment: Augmentation, seed: int) -> Views:
        """The views that training may show with this store."""
        views = views_of(self.manifest, augment, seed)
        return DropViews(views, self._places.row) if isinstance(views, FixedViews) else views


def open_store(folder: Path, faces: FaceSet) -> SignalStore:
    """The store in a folder, joined or not."""
    if not (folder / PARTS).exists():
        return Store(folder, faces)
    if not isinstance(faces, InParts):
        raise UserError(f"{folder}: holds the signals of frozen drops; expected data=frozen data.root=NIGHT with it")
    return JoinedStore(folder, faces)


def write_joined(folder: Path, data: Mapping[str, Any], stores: Sequence[Path]) -> SignalManifest:
    """Write the list of stores and their common manifest for ``data``; returns that manifest.

    The stores are those of a night's drops, in order. Raises ``UserError`` where they are not of one teacher.
    """
    parts = [read_manifest(store) for store in stores]
    for store, part in zip(stores, parts, strict=True):
        _require_same(store, part, parts[-1])
    latest = parts[-1]
    manifest = SignalManifest(data, latest.teacher, latest.views, latest.arrays, latest.shard_images, latest.software)
    relative = [os.path.relpath(store, folder) for store in stores]  # the service's folder may be moved
    write_atomic(folder / PARTS, (json.dumps({"stores": relative}, indent=1) + "\n").encode())
    write_atomic(folder / MANIFEST, manifest.to_json().encode())
    return manifest


@dataclass(frozen=True)
class _Parts:
    """``stores``: the parts' folders, in order and relative to the joined one."""

    stores: list[str]


def _read_parts(folder: Path) -> list[Path]:
    path, wrote = folder / PARTS, "what `make nightly` wrote"
    return [folder / name for name in from_plain(_Parts, read_json(path, wrote), path, wrote).stores]


def _require_part(store: Store, part: FaceSet, joined: SignalManifest) -> None:
    data = {"images": len(part), "classes": part.classes, "fingerprint": part.fingerprint()}
    if (difference := first_difference(store.manifest.data, data)) is not None:
        raise UserError(f"{store.folder}: holds the signals of other pictures than the drop's: {difference}")
    _require_same(store.folder, store.manifest, joined)


def _require_same(store: Path, manifest: SignalManifest, joined: SignalManifest) -> None:
    found, wanted = ({what: getattr(m, what) for what in _SAME} for m in (manifest, joined))
    if (difference := first_difference(found, wanted)) is not None:
        raise UserError(
            f"{store}: its signals cannot be joined with those of the other drops: {difference}; expected one teacher "
            "and the same views and maps for all: make the signals of that drop again"
        )
