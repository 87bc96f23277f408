"""A store of signals for training: bound to its data, verified, mapped into memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from distill.data.augment import Augmentation
from distill.data.faceset import DamagedImage, FaceSet
from distill.data.views import FixedViews, MirrorViews, StoredViews, Views
from distill.errors import UserError
from distill.signals.checksummed import DamagedFile, open_sealed, sealed, verify_sealed
from distill.signals.manifest import SignalManifest, read_manifest

_REPAIR = "run `make signals` again with the options that made the store: it rewrites what is damaged or missing"


class SignalStore(Protocol):
    """The interface of stored signals for training."""

    folder: Path
    manifest: SignalManifest

    def verify(self, progress: Callable[[int], None]) -> None: ...

    def check(self, index: int, encoded: bytes) -> None: ...

    def rows(self, index: np.ndarray, column: np.ndarray) -> dict[str, Tensor]: ...

    def views(self, augment: Augmentation, seed: int) -> Views: ...


class Store:
    """The rows of one folder for one set of faces. Can be sent to another process, which maps the files again.

    Opening checks names, sizes and shapes of all shards, and raises ``UserError`` at the first that is wrong;
    ``verify`` reads every byte.
    """

    def __init__(self, folder: Path, faces: FaceSet) -> None:
        self.folder, self.manifest = folder, read_manifest(folder)
        self._faces = faces
        self._map()

    def _map(self) -> None:
        try:
            self._shards = [open_shard(self.folder, self.manifest, shard) for shard in range(self.manifest.shards)]
        except DamagedFile as error:
            raise UserError(f"{error}; {_REPAIR}") from error

    def __getstate__(self) -> dict[str, object]:
        return {"folder": self.folder, "manifest": self.manifest, "_faces": self._faces}  # maps are not picklable

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._map()

    def verify(self, progress: Callable[[int], None]) -> None:
        """Check the contents of every shard, as many at a time as there are cores; ``progress`` gets images."""
        for shard, error in damaged_shards(self.folder, self.manifest, range(self.manifest.shards)):
            if error is not None:
                raise UserError(f"{error}; {_REPAIR}")
            progress(len(self.manifest.rows(shard)))

    def check(self, index: int, encoded: bytes) -> None:
        """Raise ``DamagedImage`` where the stored row was made of another image than this, or of a damaged one."""
        shard, row = divmod(index, self.manifest.shard_images)
        if int(self._shards[shard][DIGEST][row]) != self._faces.digest(index, encoded):
            raise DamagedImage("is not the image that its signals were made of")

    def rows(self, index: np.ndarray, column: np.ndarray) -> dict[str, Tensor]:
        """Every output, float16 [b ...], for images [b] and their columns [b]."""
        shards, rows = np.divmod(index, self.manifest.shard_images)  # (b) each
        return {
            name: torch.from_numpy(
                # copies b rows out of the maps: the rest of a shard is never read
                np.stack([self._shards[s][name][r, c] for s, r, c in zip(shards, rows, column, strict=True)])
            )
            for name in self.manifest.arrays
        }

    def views(self, augment: Augmentation, seed: int) -> Views:
        """The views that training may show with this store."""
        return views_of(self.manifest, augment, seed)


def damaged_shards(
    folder: Path, manifest: SignalManifest, shards: Sequence[int]
) -> Iterator[tuple[int, DamagedFile | None]]:
    """Each of the shards with its damage, or None; every byte is read."""

    def checked(shard: int) -> tuple[int, DamagedFile | None]:
        try:
            verify_shard(folder, manifest, shard)
        except DamagedFile as error:
            return shard, error
        return shard, None

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:  # hashing releases the GIL
        yield from pool.map(checked, shards)


def views_of(manifest: SignalManifest, augment: Augmentation, seed: int) -> StoredViews:
    """The views that the store holds. ``UserError`` where the augmentation is not one that it can replay."""
    if manifest.views["kind"] in ("mirror", "flip_sum"):
        return MirrorViews(augment, seed, manifest.views["kind"] == "flip_sum")
    return FixedViews(augment, manifest.views["seed"], manifest.views["columns"])


DIGEST = "digest"


def shard_path(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:06d}.safetensors"


def encode(manifest: SignalManifest, shard: int, arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a shard's file."""
    return sealed(arrays, _belongs(manifest, shard))


def open_shard(folder: Path, manifest: SignalManifest, shard: int) -> dict[str, np.ndarray]:
    """The arrays of a shard, mapped into memory; checks all but the contents. Raises ``DamagedFile``."""
    path = shard_path(folder, shard)
    arrays = open_sealed(path, _belongs(manifest, shard))
    if {name: (array.dtype, array.shape) for name, array in arrays.items()} != _wanted(manifest, shard):
        raise DamagedFile(f"{path}: holds other arrays than its manifest says")
    return arrays


def verify_shard(folder: Path, manifest: SignalManifest, shard: int) -> None:
    """Check every byte of a shard. Raises ``DamagedFile``."""
    open_shard(folder, manifest, shard)
    verify_sealed(shard_path(folder, shard))


def _belongs(manifest: SignalManifest, shard: int) -> dict[str, str]:
    return {"manifest": manifest.hash(), "shard": str(shard)}


def _wanted(manifest: SignalManifest, shard: int) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """Type and shape of every array of a shard."""
    rows = len(manifest.rows(shard))
    shapes = {n: (np.dtype("<f2"), (rows, manifest.columns, *s)) for n, s in manifest.arrays.items()}
    return {**shapes, DIGEST: (np.dtype("<u8"), (rows,))}
