"""Shards hold what the teacher says of each view, whatever the order in which they are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.data.augment import Augmentation
from distill.data.decode import decode
from distill.data.faceset import DamagedImage
from distill.data.views import FixedViews, MirrorViews, StoredViews
from distill.errors import UserError
from distill.files.claims import Claims
from distill.losses.feature import attention
from distill.signals.store import DIGEST, Store, open_shard, shard_path
from distill.signals.writer import FlipSum, attention_of, shard_images
from reference.listed_faces import Arithmetic, Listed

Write = Callable[..., tuple]
MIRROR = MirrorViews(Augmentation(shift_px=0), 1)
AUGMENTED = FixedViews(Augmentation(colour=0.5, erase=0.5), 3, 4)


def said(teacher, faces, views: StoredViews, index: int, column: int) -> np.ndarray:
    image = views.column(decode(faces.read(index)), index, column)
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    return teacher.output(pixels, maps=False).embedding[0].numpy()


@pytest.mark.slow
@pytest.mark.parametrize("views", [MIRROR, AUGMENTED], ids=["mirror", "augmented"])
@pytest.mark.parametrize("workers", [0, 1])
def test_every_row_is_the_teachers_word_for_that_view(write: Write, views: StoredViews, workers: int):
    faces = Listed()
    folder, _, written = write(faces, views, workers=workers)
    assert written == 3
    store = Store(folder, faces)
    for index in range(len(faces)):
        for column in range(views.columns):
            (row,) = store.rows(np.array([index]), np.array([column]))["embedding"]
            np.testing.assert_allclose(row, said(Arithmetic(), faces, views, index, column), atol=5e-4)


def test_a_flip_sum_is_the_sum_of_both_mirror_columns(write: Write):
    faces, summed = Listed(), MirrorViews(Augmentation(shift_px=0), 1, flip_sum=True)
    folder, manifest, _ = write(faces, summed, teacher=FlipSum(Arithmetic()))
    assert (manifest.columns, manifest.views) == (1, {"kind": "flip_sum"})
    for index in (0, 9, 22):
        (row,) = Store(folder, faces).rows(np.array([index]), np.array([0]))["embedding"]
        np.testing.assert_allclose(row, sum(said(Arithmetic(), faces, MIRROR, index, c) for c in (0, 1)), atol=2e-3)


def test_attention_of_a_stored_map_is_that_of_all_its_channels():
    maps = torch.randn(3, 5, 7, 7)
    torch.testing.assert_close(attention(attention_of(maps), 2.0), attention(maps, 2.0))


def test_maps_are_stored_as_their_attention(write: Write):
    faces = Listed()
    folder, manifest, _ = write(faces, arrays={"embedding": [6], "stage4": [1, 7, 7]})
    assert open_shard(folder, manifest, 2)["stage4"].shape == (7, 2, 1, 7, 7)
    (row,) = Store(folder, faces).rows(np.array([22]), np.array([1]))["stage4"]
    mirrored = np.ascontiguousarray(decode(faces.read(22))[:, ::-1]).transpose(2, 0, 1)[:2] / 255
    pooled = mirrored.reshape(2, 7, 16, 7, 16).mean((2, 4))
    np.testing.assert_allclose(row[0], np.sqrt((pooled**2).mean(0)), atol=1e-3)


def test_finished_shards_are_not_made_again(write: Write):
    folder, manifest, _ = write(Listed())
    kept = shard_path(folder, 0).stat().st_mtime_ns
    before = shard_path(folder, 1).read_bytes()
    shard_path(folder, 1).unlink()
    faces = Listed()
    assert write(faces)[2] == 1
    assert faces.reads == len(manifest.rows(1))
    assert shard_path(folder, 0).stat().st_mtime_ns == kept
    assert shard_path(folder, 1).read_bytes() == before


def test_what_another_process_is_at_is_left_to_it(write: Write, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Claims, "take", lambda self, number: number != 1)
    folder, _, written = write(Listed())
    assert written == 2
    assert not shard_path(folder, 1).exists()


def test_a_damaged_image_is_nan_and_never_matches(write: Write):
    faces = Listed(broken=(9,))
    folder, manifest, _ = write(faces, max_damaged=1)
    shard = open_shard(folder, manifest, 1)
    assert np.isnan(shard["embedding"][1]).all()
    assert shard[DIGEST][1] == 0
    assert np.isfinite(shard["embedding"][2:]).all()
    with pytest.raises(DamagedImage, match="not the image that its signals were made of"):
        Store(folder, faces).check(9, b"now it can be read")


def test_too_many_damaged_images_stop_the_job(write: Write):
    with pytest.raises(UserError, match=r"picture 9: cannot be read: damaged, number 2.*data.max_damaged allows 1"):
        write(Listed(broken=(2, 9)), max_damaged=1)


@pytest.mark.parametrize("factor", [1e6, float("nan"), float("inf")])
def test_what_float16_cannot_hold_is_refused(write: Write, factor: float):
    with pytest.raises(UserError, match=r"embedding is NaN, infinite or beyond float16"):
        write(Listed(), teacher=Arithmetic(factor))


def test_shards_are_few_and_small():
    assert shard_images(10) == 1024
    for images in (300_000, 5_179_510, 17_091_657, 42_474_557, 300_000_000):
        size = shard_images(images)
        assert 2 * 2 * 512 * size <= 2**28
        assert images / size <= 256 or size == 1 << 17


def test_bytes_per_image_are_those_that_the_documents_state(write: Write):
    folder, manifest, _ = write(Listed())
    assert manifest.columns * 2 * 6 + 8 == 32
    content = sum(array.nbytes for array in open_shard(folder, manifest, 0).values())
    assert content == 8 * 32


def test_the_folder_may_be_moved(write: Write, tmp_path: Path):
    faces = Listed()
    folder, _, _ = write(faces)
    Store(folder.rename(tmp_path / "elsewhere"), faces).verify(lambda images: None)
