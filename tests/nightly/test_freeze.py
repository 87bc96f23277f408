"""Freezing: what is new is found, what is bad is named, and what is known may not change."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.nightly.freeze import freeze
from distill.nightly.manifest import DataManifest
from reference.drops import jpeg

Put = Callable[..., Path]


@pytest.fixture
def first(put: Put) -> dict[str, bytes]:
    files = {"bob/1.jpg": jpeg(2, 1), "anna/1.jpg": jpeg(1, 1), "anna/2.jpg": jpeg(1, 2)}
    put("2026-11-24", files)
    return files


def refused(drops: Path, before: DataManifest) -> str:
    with pytest.raises(UserError) as caught:
        freeze(drops, before)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_numbers_are_given_at_first_sight_and_kept(first, drops: Path, put: Put, put_records: Put):
    before = freeze(drops, None)
    assert before.classes == {"anna": 0, "bob": 1}
    put("2026-11-25", {"aaron/1.jpg": jpeg(3, 1), "anna/1.jpg": jpeg(1, 3)})
    put_records("2026-11-23", [(jpeg(4, 1), 1), (jpeg(5, 1), 0)])
    now = freeze(drops, before)
    assert now.classes == {"anna": 0, "bob": 1, "2026-11-23/1": 2, "2026-11-23/0": 3, "aaron": 4}
    assert [drop.drop for drop in now.drops] == ["2026-11-24", "2026-11-23", "2026-11-25"], "known drops come first"
    assert list(now.entries)[:3] == list(before.entries)
    told = now.summary()
    assert (told.images, told.people, told.new_images, told.new_people) == (7, 5, 4, 3)
    assert told.new_drops == ["2026-11-23", "2026-11-25"]


def test_without_anything_new_the_data_are_the_same_and_nothing_is_read(first, drops: Path):
    before = freeze(drops, None)
    read: list[int] = []
    again = freeze(drops, before, read.append)
    assert again.data_sha256() == before.data_sha256()
    assert again.summary().new_images == 0
    assert read == []
    assert freeze(drops, None).to_json() == before.to_json()


def test_data_that_moved_are_the_same_data(first, drops: Path, tmp_path: Path):
    before = freeze(drops, None)
    shutil.copytree(drops, tmp_path / "moved")
    read: list[int] = []
    assert freeze(tmp_path / "moved", before, read.append).data_sha256() == before.data_sha256()
    assert sum(read) == 3, "stamps of copies are others, so they are hashed once more"


def test_an_empty_drop_is_nothing_new_until_it_is_filled(first, drops: Path, put: Put):
    before = freeze(drops, None)
    (drops / "2026-11-25").mkdir()
    now = freeze(drops, before)
    assert list(now.empty) == ["2026-11-25"]
    assert now.data_sha256() == before.data_sha256()
    put("2026-11-25", {"bob/1.jpg": jpeg(2, 9)})
    assert freeze(drops, now).summary().new_images == 1


def test_damaged_pictures_and_copies_are_left_out_with_a_reason(first, drops: Path, put: Put):
    before = freeze(drops, None)
    put(
        "2026-11-25",
        {
            "bob/copy.jpg": first["bob/1.jpg"],
            "carl/bob.jpg": first["bob/1.jpg"],
            "carl/half.jpg": jpeg(3, 1)[:-300],
            "carl/large.jpg": jpeg(3, 1, 224),
            "carl/text.png": b"no picture",
            "carl/twice1.jpg": jpeg(3, 2),
            "carl/twice2.jpg": jpeg(3, 2),
        },
    )
    now = freeze(drops, before)
    assert [entry.name for entry in now.entries][3:] == ["carl/twice1.jpg"]
    left_out = {one.name: one for one in now.drops[1].left_out}
    assert {name: one.reason for name, one in left_out.items()} == {
        "bob/copy.jpg": "duplicate",
        "carl/bob.jpg": "contradiction",
        "carl/half.jpg": "damaged",
        "carl/large.jpg": "damaged",
        "carl/text.png": "damaged",
        "carl/twice2.jpg": "duplicate",
    }
    assert "labelled bob; here it is labelled carl" in left_out["carl/bob.jpg"].text
    assert left_out["carl/twice2.jpg"].twin == ("2026-11-25", "carl/twice1.jpg")
    assert "224x224" in left_out["carl/large.jpg"].text


def test_a_number_of_records_contradicts_no_name(first, drops: Path, put_records: Put):
    put_records("2026-11-25", [(first["bob/1.jpg"], 0), (jpeg(5, 1), 1), (jpeg(5, 1), 0)])
    reasons = {one.name: one.reason for one in freeze(drops, None).drops[1].left_out}
    assert sorted(reasons.values()) == ["contradiction", "duplicate"], "0 and 1 of one set do contradict each other"


def test_a_drop_without_a_usable_picture_changes_nothing_and_may_go(first, drops: Path, put: Put):
    before = freeze(drops, None)
    put("2026-11-25", {"bob/half.jpg": jpeg(2, 5)[:-300]})
    now = freeze(drops, before)
    assert now.data_sha256() == before.data_sha256()
    assert now.drops[1].left_out[0].reason == "damaged"
    shutil.rmtree(drops / "2026-11-25")
    assert freeze(drops, now).data_sha256() == before.data_sha256()


@pytest.mark.parametrize("layout", ["folder", "recordio"])
def test_what_is_known_may_be_touched_but_not_changed(drops: Path, put: Put, put_records: Put, layout: str):
    if layout == "folder":
        place = put("d", {"anna/1.jpg": jpeg(1, 1), "anna/2.jpg": jpeg(1, 2)})
        file, other = place / "anna/1.jpg", jpeg(1, 3)
    else:
        place = put_records("d", [(jpeg(1, 1), 0), (jpeg(1, 2), 0)])
        file = place / "train.rec"
        other = file.read_bytes().replace(jpeg(1, 1), jpeg(1, 3)[: len(jpeg(1, 1))].ljust(len(jpeg(1, 1)), b"\0"))
    before = freeze(drops, None)
    os.utime(file, ns=(7, 7))
    assert freeze(drops, before).data_sha256() == before.data_sha256()
    file.write_bytes(other)
    assert "has changed since an earlier night froze it" in refused(drops, before)
    assert str(place) in refused(drops, before)


def test_what_is_known_may_not_go_or_come(first, drops: Path, put: Put):
    before = freeze(drops, None)
    place = put("2026-11-24", {"bob/2.jpg": jpeg(2, 2)})
    assert refused(drops, before).startswith(f"{place / 'bob/2.jpg'}: was not there when an earlier night froze")
    (place / "bob/2.jpg").unlink()
    (place / "bob/1.jpg").rename(place / "1.jpg")
    assert refused(drops, before).startswith(f"{place / 'bob/1.jpg'}: is gone (1 of 3 are)")
    (place / "1.jpg").rename(place / "bob/1.jpg")
    assert freeze(drops, before).summary().new_images == 0
    place.rename(drops.parent / "elsewhere")
    assert refused(drops, before).startswith(f"{place}: is gone")
    (drops / "2026-11-24").symlink_to(drops.parent / "elsewhere")
    assert "is a link to" in refused(drops, before)


def test_a_damaged_picture_of_a_known_drop_may_be_cleared_away(drops: Path, put: Put):
    place = put("d", {"anna/1.jpg": jpeg(1, 1), "anna/half.jpg": jpeg(1, 2)[:-300]})
    before = freeze(drops, None)
    (place / "anna/half.jpg").unlink()
    assert freeze(drops, before).data_sha256() == before.data_sha256()


def test_records_that_were_labelled_anew_are_named(drops: Path, put_records: Put):
    put_records("d", [(jpeg(1, 1), 0), (jpeg(2, 1), 1)])
    before = freeze(drops, None)
    put_records("d", [(jpeg(1, 1), 1), (jpeg(2, 1), 1)])
    told = refused(drops, before)
    assert "train.rec key 7: has the label of d/1, and had that of d/0" in told
