"""The set that a student is trained on: the pictures that were frozen, with the labels that vetting left."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.data.faceset import DamagedImage
from distill.errors import UserError
from distill.nightly.freeze import freeze
from distill.nightly.frozen import FrozenSet, parts_of
from distill.nightly.manifest import MANIFEST, DataManifest
from distill.nightly.vetting_result import Verdicts, write_verdicts
from distill.types import UNLABELLED
from reference.drops import jpeg

Put = Callable[..., Path]


@pytest.fixture
def night(tmp_path: Path) -> Callable[..., Path]:
    """The folder of a night with these data, of whose pictures some have lost their labels."""

    def make(manifest: DataManifest, unlabelled: dict[str, list[str]] | None = None) -> Path:
        folder = tmp_path / "nights" / "0001"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).write_text(manifest.to_json())
        write_verdicts(folder, Verdicts(manifest.data_sha256(), unlabelled or {}, []))
        return folder

    return make


@pytest.fixture
def two(put: Put, put_records: Put) -> None:
    put("a", {"anna/1.jpg": jpeg(1, 1), "bob/1.jpg": jpeg(2, 1), "bob/2.jpg": b"damaged"})
    put_records("b", [(jpeg(3, 1), 1), (jpeg(1, 1), 0), (jpeg(4, 1), 0)])


def test_pictures_of_all_drops_with_the_labels_that_are_left(two, drops: Path, night):
    faces = FrozenSet(night(freeze(drops, None), {"a": ["bob/1.jpg"]}))
    assert len(faces) == 4
    assert faces.classes == 4
    assert faces.labels.tolist() == [0, UNLABELLED, 2, 3]
    assert [faces.read(k) for k in range(4)] == [jpeg(1, 1), jpeg(2, 1), jpeg(3, 1), jpeg(4, 1)]
    assert faces.name(1) == str(drops / "a/bob/1.jpg")
    assert faces.name(2) == str(drops / "b/train.rec key 8")
    assert list(zip(*faces.places, strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert pickle.loads(pickle.dumps(faces)).read(3) == jpeg(4, 1)


def test_a_picture_that_is_another_now_is_damaged(two, drops: Path, night):
    faces = FrozenSet(night(freeze(drops, None)))
    (drops / "a/bob/1.jpg").write_bytes(jpeg(2, 2))
    with pytest.raises(DamagedImage, match="is not the picture that was frozen"):
        faces.read(1)
    (drops / "a/anna/1.jpg").unlink()
    with pytest.raises(DamagedImage, match="cannot be read"):
        faces.read(0)


def test_a_drop_stays_the_same_set_whatever_comes_later(two, drops: Path, put: Put, night):
    first = freeze(drops, None)
    before = {part.drop: part.fingerprint() for part in parts_of(first)}
    put("c", {"anna/2.jpg": jpeg(1, 2), "zoe/1.jpg": jpeg(9, 1)})
    now = freeze(drops, first)
    after = {part.drop: part.fingerprint() for part in parts_of(now)}
    assert after.items() > before.items()
    assert {part.drop: part.classes for part in parts_of(now)} == {"a": 2, "b": 4, "c": 5}


def test_the_fingerprint_follows_pictures_and_labels(two, drops: Path, put: Put, night):
    manifest = freeze(drops, None)
    plain = FrozenSet(night(manifest)).fingerprint()
    assert FrozenSet(night(manifest)).fingerprint() == plain
    assert FrozenSet(night(manifest, {"a": ["bob/1.jpg"]})).fingerprint() != plain
    put("c", {"anna/2.jpg": jpeg(1, 2)})
    assert FrozenSet(night(freeze(drops, manifest))).fingerprint() != plain


def test_drops_may_have_moved_since(two, drops: Path, night):
    folder = night(freeze(drops, None))
    moved = drops.rename(drops.with_name("moved"))
    assert FrozenSet(folder, str(moved)).read(2) == jpeg(3, 1)


def test_data_that_were_not_vetted_or_are_none_are_refused(two, drops: Path, put: Put, night, tmp_path: Path):
    manifest = freeze(drops, None)
    folder = night(manifest)
    put("c", {"anna/2.jpg": jpeg(1, 2)})
    (folder / MANIFEST).write_text(freeze(drops, manifest).to_json())
    with pytest.raises(UserError, match=r"vetting.json is of other data"):
        FrozenSet(folder)
    (folder / "vetting.json").unlink()
    with pytest.raises(UserError, match=r"holds no vetting.json"):
        FrozenSet(folder)
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="no picture that can be used"):
        FrozenSet(night(freeze(tmp_path / "none", None)))
