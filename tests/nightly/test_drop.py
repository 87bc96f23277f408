"""What a drop holds, in both layouts, and that no name in it leads out of it."""

from __future__ import annotations

import os
import pickle
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.data.faceset import DamagedImage
from distill.errors import UserError
from distill.nightly.drop import MOST_BYTES, drop_names, list_drop, namespace, pictures_of, record_stamp
from reference.drops import jpeg

Put = Callable[..., Path]


def test_people_and_pictures_are_sorted_and_other_files_passed_over(put: Put):
    place = put(
        "d", {"zoe/b.JPG": b"1", "zoe/a.png": b"2", "zoe/notes.txt": b"", "anna/1.jpeg": b"3", "loose.jpg": b"4"}
    )
    put("d", {".half/1.jpg": b"5", "anna/.1.jpg": b"6"})
    listing = list_drop(place)
    assert listing is not None
    assert listing.names == ["anna/1.jpeg", "zoe/a.png", "zoe/b.JPG"]
    assert listing.people == ["anna", "zoe", "zoe"]
    pictures = pickle.loads(pickle.dumps(pictures_of(place, listing.kind)))
    assert [pictures.read(name) for name in listing.names] == [b"3", b"2", b"1"]


def test_a_file_that_is_too_large_for_a_crop_is_damaged(put: Put):
    pictures = pictures_of(put("d", {"anna/1.jpg": bytes(MOST_BYTES + 1), "anna/2.jpg": bytes(MOST_BYTES)}), "folder")
    with pytest.raises(DamagedImage, match="has more than 1048576 bytes"):
        pictures.read("anna/1.jpg")
    assert len(pictures.read("anna/2.jpg")) == MOST_BYTES


def test_a_drop_of_records_has_people_of_its_own(put_records: Put):
    images = [jpeg(person, 1) for person in range(3)]
    place = put_records("r", [(images[0], 1), (images[1], 0), (images[2], 1)])
    listing = list_drop(place)
    assert listing is not None
    assert listing.people == ["r/1", "r/0", "r/1"]
    assert [namespace(person) for person in ("r/1", "anna")] == ["r", ""]
    pictures = pickle.loads(pickle.dumps(pictures_of(place, listing.kind)))
    assert [pictures.read(name) for name in listing.names] == images
    with pytest.raises(DamagedImage, match="no longer in the index"):
        pictures.read("train.rec key 99")


def test_nothing_is_nothing(drops: Path):
    (drops / "empty" / "nobody").mkdir(parents=True)
    assert list_drop(drops / "empty") is None


def test_two_spellings_of_a_name_are_one_person(put: Put):
    one, two = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))
    listing = list_drop(put("d", {f"{one}/1.jpg": b"1", f"{two}/2.jpg": b"2"}))
    assert listing is not None
    assert set(listing.people) == {one}


@pytest.mark.parametrize("what", ["picture", "person", "dangling"])
def test_a_link_out_of_a_drop_is_refused_by_name(put: Put, tmp_path: Path, what: str):
    place = put("d", {"anna/1.jpg": b"1"})
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.jpg").write_bytes(b"key")
    link, end = {
        "picture": (place / "anna/2.jpg", tmp_path / "secret/key.jpg"),
        "person": (place / "eve", Path("../../secret")),
        "dangling": (place / "anna/3.jpg", Path("/nowhere/at/all.jpg")),
    }[what]
    link.symlink_to(end)
    with pytest.raises(UserError) as caught:
        list_drop(place)
    assert str(caught.value).startswith(f"{link}: is a link to ")
    assert "\n" not in str(caught.value)


def test_a_link_that_stays_within_its_drop_is_a_picture_like_others(put: Put):
    place = put("d", {"anna/1.jpg": b"1"})
    (place / "anna/2.jpg").symlink_to("1.jpg")
    listing = list_drop(place)
    assert listing is not None
    assert listing.names == ["anna/1.jpg", "anna/2.jpg"]


def test_records_may_not_be_links_out_either(put_records: Put, tmp_path: Path):
    place = put_records("r", [(jpeg(1, 1), 0)])
    (place / "train.rec").rename(tmp_path / "elsewhere.rec")
    (place / "train.rec").symlink_to(tmp_path / "elsewhere.rec")
    with pytest.raises(UserError, match=r"r/train.rec: is a link to"):
        list_drop(place)


def test_half_a_recordio_folder_is_refused(put_records: Put):
    place = put_records("r", [(jpeg(1, 1), 0)])
    (place / "train.rec").unlink()
    with pytest.raises(UserError, match=r"has no file train.rec"):
        list_drop(place)


def test_drops_in_the_making_and_links_to_drops_are_none(drops: Path, tmp_path: Path):
    for name in ("2026-11-25", "2026-11-24", ".2026-11-26.partial"):
        (drops / name).mkdir()
    (drops / "latest").symlink_to("2026-11-25")
    (drops / "lfw.bin").write_bytes(b"")
    assert drop_names(drops) == ["2026-11-24", "2026-11-25"]
    (drops / "two\nlines").mkdir()
    with pytest.raises(UserError, match=r"holds the drop 'two\\nlines'"):
        drop_names(drops)
    (drops / "two\nlines").rmdir()
    (drops / "all").symlink_to(tmp_path)
    with pytest.raises(UserError, match=r"drops/all: is a link to"):
        drop_names(drops)
    with pytest.raises(UserError, match=r"no such folder.*set drops=DIR"):
        drop_names(tmp_path / "absent")


def test_a_stamp_follows_every_touch(put: Put, put_records: Put):
    def stamp() -> int:
        listing = list_drop(place)
        assert listing is not None
        return int(listing.stamps[0])

    place = put("d", {"anna/1.jpg": b"1"})
    before = stamp()
    assert stamp() == before > 0
    os.utime(place / "anna/1.jpg", ns=(5, 5))
    assert stamp() != before
    place = put_records("r", [(jpeg(1, 1), 0)])
    before = record_stamp(place)
    os.utime(place / "property", ns=(5, 5))
    assert record_stamp(place) not in (0, before)
    before = record_stamp(place)
    (place / "property").unlink()
    assert record_stamp(place) not in (0, before)
    (place / "train.rec").unlink()
    assert record_stamp(place) == 0
