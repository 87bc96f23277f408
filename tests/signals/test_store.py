"""A store is whole, or says what is wrong; batches read from it."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.data.augment import Augmentation
from distill.data.batches import FaceBatches
from distill.data.faceset import DamagedImage
from distill.data.views import FixedViews, MirrorViews
from distill.errors import UserError
from distill.signals.store import Store, shard_path, views_of
from reference.listed_faces import Listed

Write = Callable[..., tuple]
REPAIR = "run `make signals` again"


def refused(folder: Path, faces) -> str:
    with pytest.raises(UserError) as caught:
        Store(folder, faces).verify(lambda images: None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_shard_is_named(write: Write):
    folder, _, _ = write(Listed())
    shard_path(folder, 1).unlink()
    told = refused(folder, Listed())
    assert told.startswith(f"{shard_path(folder, 1)}: is missing")
    assert REPAIR in told


def test_a_flipped_bit_is_named(write: Write):
    folder, _, _ = write(Listed())
    path = shard_path(folder, 2)
    content = bytearray(path.read_bytes())
    content[-20] ^= 4
    path.write_bytes(content)
    assert refused(folder, Listed()).startswith(f"{path}: its contents are not those that were written")


def test_a_truncated_shard_is_named(write: Write):
    folder, _, _ = write(Listed())
    path = shard_path(folder, 0)
    path.write_bytes(path.read_bytes()[:-7])
    assert "truncated" in refused(folder, Listed())


def test_a_shard_in_the_place_of_another_is_named(write: Write):
    folder, _, _ = write(Listed())
    shutil.copy(shard_path(folder, 0), shard_path(folder, 1))
    assert "is of another store: its shard is 0, not 1" in refused(folder, Listed())


def test_a_shard_of_another_run_is_named(write: Write, tmp_path: Path):
    folder, _, _ = write(Listed())
    kept = shutil.copy(shard_path(folder, 0), tmp_path / "kept")
    shutil.rmtree(folder)
    write(Listed(), views=FixedViews(Augmentation(), 1, 2))
    shutil.copy(kept, shard_path(folder, 0))
    assert "is of another store: its manifest is" in refused(folder, Listed())


def test_batches_carry_the_rows_of_the_views_that_they_show(write: Write):
    faces, views = Listed(), MirrorViews(Augmentation(shift_px=0), 1)
    folder, _, _ = write(faces, views)
    store = Store(folder, faces)
    batches = FaceBatches(faces, views, 0, pickle.loads(pickle.dumps(store)))  # as a loader's worker gets it
    batch = batches[np.array([[3, 0], [22, 1], [3, 4]])]
    pixels = batch["images"].float() / 255
    live = torch.cat([pixels[..., :56].mean((2, 3)), pixels[..., 56:].mean((2, 3))], 1)
    stored = batch.get("stored")
    assert stored is not None
    torch.testing.assert_close(stored["embedding"].float(), live, atol=5e-4, rtol=0)


def test_an_image_that_has_changed_is_not_used(write: Write):
    folder, _, _ = write(Listed())
    other = Listed()
    other._images[3] = other._images[4]
    batch = FaceBatches(other, MirrorViews(Augmentation(shift_px=0), 1), 1, Store(folder, other))[np.array([[3, 0]])]
    assert batch["index"].tolist() == [4]
    assert batch["damaged"] == [(3, "picture 3: is not the image that its signals were made of")]
    with pytest.raises(DamagedImage):
        Store(folder, other).check(3, other.read(3))


def test_views_are_those_of_the_manifest(write: Write):
    _, manifest, _ = write(Listed(), FixedViews(Augmentation(), 3, 4))
    assert views_of(manifest, Augmentation(), 99) == FixedViews(Augmentation(), 3, 4)
