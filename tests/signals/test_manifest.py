"""What a manifest says, and where two of them differ."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.signals.manifest import MANIFEST, SignalManifest, first_difference, read_manifest

MADE = SignalManifest(
    data={"images": 20, "classes": 3, "fingerprint": "f"},
    teacher={"name": "t", "embedding_dim": 4, "map_channels": {}},
    views={"kind": "mirror"},
    arrays={"embedding": [4]},
    shard_images=8,
    software={"torch": "2"},
)


def test_a_manifest_is_read_back_as_it_was(tmp_path: Path):
    (tmp_path / MANIFEST).write_text(MADE.to_json())
    assert read_manifest(tmp_path) == MADE


def test_shards_cover_every_image_once():
    assert MADE.shards == 3
    assert [index for shard in range(3) for index in MADE.rows(shard)] == list(range(20))
    assert MADE.columns == 2
    assert replace(MADE, views={"kind": "augmented", "columns": 5}).columns == 5


def test_the_hash_changes_with_all_but_the_software():
    assert replace(MADE, software={"torch": "3"}).hash() == MADE.hash()
    for change in ({"data": {}}, {"teacher": {}}, {"views": {}}, {"arrays": {}}, {"shard_images": 9}):
        assert replace(MADE, **change).hash() != MADE.hash()


def test_the_first_difference_is_named_in_the_order_that_is_asked():
    stored = {"a": {"x": 1, "more": 0}, "b": [1, 2], "c": 3}
    assert first_difference(stored, {"a": {"x": 1}, "b": [1, 2]}) is None
    assert first_difference(stored, {"c": 4, "a": {"x": 2}}) == "c is 3 there and 4 here"
    assert first_difference(stored, {"a": {"x": 2}, "c": 4}) == "a.x is 1 there and 2 here"
    assert first_difference(stored, {"d": 1}) == "d is null there and 1 here"


def test_a_long_value_is_shortened():
    told = first_difference({"hash": "0" * 100}, {"hash": "1" * 100})
    assert told is not None
    assert len(told) < 140


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "has format 2; expected 1: make the signals again"),
        ({"views": "mirror"}, "views is 'mirror'; expected what `make signals` wrote"),
        ({"extra": 1}, "has the unknown key 'extra'"),
    ],
)
def test_a_manifest_of_another_kind_is_one_line(tmp_path: Path, change: dict, told: str):
    (tmp_path / MANIFEST).write_text(json.dumps({**json.loads(MADE.to_json()), **change}))
    with pytest.raises(UserError) as caught:
        read_manifest(tmp_path)
    assert told in str(caught.value)
    assert str(tmp_path / MANIFEST) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_no_json_is_one_line(tmp_path: Path, content: bytes):
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(UserError, match=r"manifest\.json.*(what|manifest that) `make signals` wrote"):
        read_manifest(tmp_path)


def test_a_folder_without_one_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"holds no manifest\.json; expected a folder that `make signals` wrote"):
        read_manifest(tmp_path)
