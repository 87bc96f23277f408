"""One shard: the teacher's outputs for a stretch of images.

Each array is [images columns ...] in float16; ``digest`` [images] uint64 binds each row to the bytes of its image.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from distill.signals.manifest import Manifest
from distill.signals.sealed import Damaged, open_sealed, sealed, verify_sealed

DIGEST = "digest"


def shard_path(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:06d}.safetensors"


def encode(manifest: Manifest, shard: int, arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a shard's file."""
    return sealed(arrays, _belongs(manifest, shard))


def open_shard(folder: Path, manifest: Manifest, shard: int) -> dict[str, np.ndarray]:
    """The arrays of a shard, mapped into memory; checks all but the contents. Raises ``Damaged``."""
    path = shard_path(folder, shard)
    arrays = open_sealed(path, _belongs(manifest, shard))
    if {name: (array.dtype, array.shape) for name, array in arrays.items()} != _wanted(manifest, shard):
        raise Damaged(f"{path}: holds other arrays than its manifest says")
    return arrays


def verify_shard(folder: Path, manifest: Manifest, shard: int) -> None:
    """Check every byte of a shard. Raises ``Damaged``."""
    open_shard(folder, manifest, shard)
    verify_sealed(shard_path(folder, shard))


def _belongs(manifest: Manifest, shard: int) -> dict[str, str]:
    return {"manifest": manifest.hash(), "shard": str(shard)}


def _wanted(manifest: Manifest, shard: int) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """Type and shape of every array of a shard."""
    rows = len(manifest.rows(shard))
    shapes = {n: (np.dtype("<f2"), (rows, manifest.columns, *s)) for n, s in manifest.arrays.items()}
    return {**shapes, DIGEST: (np.dtype("<u8"), (rows,))}
