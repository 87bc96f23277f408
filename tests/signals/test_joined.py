"""Stores of drops as one: the same rows as each has, and no store of other pictures or of another teacher."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.data.augment import Augmentation
from distill.data.batches import FaceBatches
from distill.data.damage import Damage
from distill.data.decode import decode
from distill.data.views import FixedViews, MirrorViews, StoredViews
from distill.errors import UserError
from distill.files.claims import Claims
from distill.nightly.freeze import freeze
from distill.nightly.frozen import FrozenDrop, FrozenSet
from distill.nightly.manifest import MANIFEST
from distill.nightly.vetting_result import Verdicts, write_verdicts
from distill.signals.joined import PARTS, JoinedStore, open_store, write_joined
from distill.signals.manifest import MANIFEST as STORE_MANIFEST
from distill.signals.manifest import SignalManifest
from distill.signals.set_outputs import mean_centres
from distill.signals.store import Store, shard_path
from distill.signals.writer import Writer
from reference.drops import jpeg
from reference.listed_faces import Arithmetic, Listed

Join = Callable[..., tuple[Path, FrozenSet]]


def stored(folder: Path, part: FrozenDrop, views: StoredViews, teacher: str = "arithmetic") -> Path:
    """The store of one drop, in shards of two images."""
    data = {"images": len(part), "classes": part.classes, "fingerprint": part.fingerprint()}
    said = {"name": teacher, "embedding_dim": 6, "map_channels": {"stage4": 2}}
    shapes = {"embedding": [6], "stage4": [1, 7, 7]}
    manifest = SignalManifest(data, said, views.described(), shapes, 2, {"torch": "any"})
    folder.mkdir(parents=True)
    (folder / STORE_MANIFEST).write_text(manifest.to_json())
    claims = Claims(folder)
    Writer(folder, manifest, Arithmetic(), 3, 0, Damage(0)).write(part, views, claims, lambda images: None)
    claims.close()
    return folder


@pytest.fixture
def join(drops: Path, put: Callable[..., Path], put_records: Callable[..., Path], tmp_path: Path) -> Join:
    """Three drops of 3, 2 and 5 pictures, their stores, and the joined store of them."""

    def make(views: StoredViews | None = None, teacher: str = "arithmetic") -> tuple[Path, FrozenSet]:
        put("a", {f"anna/{k}.jpg": jpeg(1, k) for k in range(3)})
        put_records("b", [(jpeg(2, 1), 0), (jpeg(3, 1), 1)])
        put("c", {f"anna/{k}.jpg": jpeg(1, 10 + k) for k in range(5)})
        manifest, night = freeze(drops, None), tmp_path / "nights/0001"
        night.mkdir(parents=True)
        (night / MANIFEST).write_text(manifest.to_json())
        write_verdicts(night, Verdicts(manifest.data_sha256(), {"c": ["anna/4.jpg"]}, []))
        faces = FrozenSet(night)
        how = views or MirrorViews(Augmentation(shift_px=0), 1)
        named = zip(("arithmetic", "arithmetic", teacher), faces.parts, strict=True)
        stores = [stored(tmp_path / "signals" / part.drop, part, how, name) for name, part in named]
        folder = night / "signals"
        folder.mkdir()
        data = {"images": len(faces), "classes": faces.classes, "fingerprint": faces.fingerprint()}
        write_joined(folder, data, stores)
        return folder, faces

    return make


def seen(image: bytes) -> torch.Tensor:
    """The arithmetic teacher's embedding of the image."""
    pixels = torch.from_numpy(decode(image).copy()).permute(2, 0, 1)[None]
    return Arithmetic().output(pixels, False).embedding[0]


def test_rows_are_those_of_each_picture_whatever_its_drop(join: Join):
    folder, faces = join()
    store = pickle.loads(pickle.dumps(open_store(folder, faces)))
    assert isinstance(store, JoinedStore)
    told: list[int] = []
    store.verify(told.append)
    assert sum(told) == len(faces) == 10
    index = np.array([9, 0, 4, 3, 9, 6])
    rows = store.rows(index, np.zeros(6, np.int64))
    assert rows["embedding"].dtype == torch.float16
    assert rows["stage4"].shape == (6, 1, 7, 7)
    for row, image in enumerate(index.tolist()):
        torch.testing.assert_close(rows["embedding"][row].float(), seen(faces.read(image)), atol=5e-4, rtol=0)
        store.check(image, faces.read(image))


def test_batches_show_fixed_views_as_their_drops_have_them(join: Join):
    folder, faces = join(FixedViews(Augmentation(colour=0.5), 3, 2))
    store = open_store(folder, faces)
    views = store.views(Augmentation(), 99)
    batch = FaceBatches(faces, views, 0, store)[np.array([[8, 0], [4, 1], [1, 3], [7, 2]])]
    live = Arithmetic().output(batch["images"], False).embedding
    kept = batch.get("stored")
    assert kept is not None
    torch.testing.assert_close(kept["embedding"].float(), live, atol=5e-4, rtol=0)


def test_centres_leave_out_what_has_lost_its_label(join: Join):
    folder, faces = join()
    store = open_store(folder, faces)
    centres = mean_centres(store, faces.labels, faces.classes)
    mine = [k for k in range(10) if faces.labels[k] == 0]
    assert len(mine) == 7
    slow = torch.zeros(6, dtype=torch.float64)
    for k in mine:
        for image in (decode(faces.read(k)), decode(faces.read(k))[:, ::-1]):
            pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
            slow += torch.nn.functional.normalize(Arithmetic().output(pixels, False).embedding[0].double(), dim=0)
    torch.testing.assert_close(centres[0].double(), slow / slow.norm(), atol=1e-3, rtol=0)


def test_the_service_may_move_as_a_whole(join: Join, tmp_path: Path):
    folder, _ = join()
    names = json.loads((folder / PARTS).read_text())["stores"]
    assert names == ["../../../signals/a", "../../../signals/b", "../../../signals/c"]


def test_damage_in_a_part_is_named(join: Join, tmp_path: Path):
    folder, faces = join()
    path = shard_path(tmp_path / "signals/c", 1)
    content = bytearray(path.read_bytes())
    content[-20] ^= 4
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"shard-000001.*are not those that were written"):
        open_store(folder, faces).verify(lambda images: None)
    path.unlink()
    with pytest.raises(UserError, match=r"shard-000001.*is missing"):
        open_store(folder, faces)


def test_the_stores_of_other_drops_are_refused(join: Join):
    folder, faces = join()
    names = json.loads((folder / PARTS).read_text())["stores"]
    (folder / PARTS).write_text(json.dumps({"stores": [names[1], names[0], names[2]]}))
    with pytest.raises(UserError, match="holds the signals of other pictures than the drop's: images is 2"):
        open_store(folder, faces)
    (folder / PARTS).write_text(json.dumps({"stores": names[:2]}))
    with pytest.raises(UserError, match="names 2 stores, but there are 3 drops"):
        open_store(folder, faces)
    (folder / PARTS).write_text("{")
    with pytest.raises(UserError, match=r"parts.json: cannot be read"):
        open_store(folder, faces)


def test_two_teachers_are_not_joined(join: Join, tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot be joined with those of the other drops: teacher.name is"):
        join(teacher="another")


def test_only_frozen_faces_have_parts_and_a_plain_store_opens_as_before(join: Join, tmp_path: Path):
    folder, faces = join()
    with pytest.raises(UserError, match=r"holds the signals of frozen drops; expected data=frozen"):
        open_store(folder, Listed())
    assert isinstance(open_store(tmp_path / "signals/a", faces.parts[0]), Store)
