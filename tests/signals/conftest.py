"""A store of the signals of a small set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from distill.data.augment import Augmentation
from distill.data.damage import Damage
from distill.data.views import MirrorViews, StoredViews
from distill.files.claims import Claims
from distill.signals.manifest import MANIFEST, SignalManifest
from distill.signals.writer import OutputsOf, Writer
from reference.listed_faces import Arithmetic, Listed
from reference.small_drops import drops, put, put_records  # noqa: F401

SHARD = 8


def manifest_for(faces: Listed, views: StoredViews, arrays: Mapping[str, list[int]]) -> SignalManifest:
    return SignalManifest(
        data={"images": len(faces), "classes": faces.classes, "fingerprint": faces.fingerprint()},
        teacher={"name": "arithmetic", "embedding_dim": 6, "map_channels": {"stage4": 2}},
        views=views.described(),
        arrays=dict(arrays),
        shard_images=SHARD,
        software={"torch": "any"},
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[Path, SignalManifest, int]]:
    """Writes a store of some faces below ``tmp_path/store``; gives the folder, its manifest and shards written now."""

    def run(
        faces: Listed,
        views: StoredViews | None = None,
        arrays: Mapping[str, list[int]] | None = None,
        teacher: OutputsOf | None = None,
        max_damaged: int = 0,
        workers: int = 0,
    ) -> tuple[Path, SignalManifest, int]:
        folder = tmp_path / "store"
        folder.mkdir(exist_ok=True)
        views = views or MirrorViews(Augmentation(shift_px=0), 1)
        manifest = manifest_for(faces, views, arrays or {"embedding": [6]})
        (folder / MANIFEST).write_text(manifest.to_json())
        claims = Claims(folder)
        writer = Writer(
            folder, manifest, teacher or Arithmetic(), 3, workers, Damage(max_damaged, "data.max_damaged", "this set")
        )
        try:
            return folder, manifest, writer.write(faces, views, claims, lambda images: None)
        finally:
            claims.close()

    return run
