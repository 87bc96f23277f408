"""A store of image and mirror image as one of their sums, without its teacher (``make signals flip_sum=true``)."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors import safe_open

from distill.data.augment import Augmentation
from distill.data.views import MirrorViews
from distill.files.atomic import write_atomic
from distill.signals.manifest import MANIFEST, read_manifest
from distill.signals.set_outputs import CARD, read_centres, read_distances, write_centres, write_distances
from distill.signals.store import DIGEST, encode, open_shard, shard_path


def flip_summed(store: Path, folder: Path) -> Path:
    """Write the sums of a store's two columns to ``folder``, with its centres, distances and card; returns ``folder``.

    Differs from the store that the teacher itself would write by the rounding of each column to float16.
    """
    before = read_manifest(store)
    assert before.views == MirrorViews(Augmentation(shift_px=0), 0).described(), before.views
    after = replace(before, views=MirrorViews(Augmentation(shift_px=0), 0, flip_sum=True).described())
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(before.shards):
        arrays = open_shard(store, before, shard)
        # (images, 2, d) -> (images, 1, d)
        summed = arrays["embedding"].astype(np.float32).sum(1, keepdims=True).astype(np.float16)
        content = encode(after, shard, {"embedding": summed, DIGEST: np.array(arrays[DIGEST])})
        write_atomic(shard_path(folder, shard), content)
    write_centres(folder, after, read_centres(store, before))
    for path in store.glob("pairs-*.safetensors"):
        with safe_open(path, framework="np") as file:
            pairs = file.metadata()["pairs"]
        distances = read_distances(store, before, pairs)
        assert distances is not None
        write_distances(folder, after, pairs, distances)
    shutil.copyfile(store / CARD, folder / CARD)
    write_atomic(folder / MANIFEST, after.to_json().encode())
    return folder
