"""One layout of a folder of people, read alike by training sets and drops; what is not read is counted by kind."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pytest

from distill.data.folder import ImageFolderSet
from distill.data.people import PeopleFolder, as_on_disk, person_name, read_people
from distill.errors import UserError
from distill.nightly.drop import list_drop

NFC, NFD = (unicodedata.normalize(form, "José") for form in ("NFC", "NFD"))


def put(root: Path, names: Iterable[str]) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode(errors="surrogateescape"))
    return root


def read(root: Path) -> PeopleFolder:
    def refuse(entry: os.DirEntry[str]) -> None:
        if not Path(entry.path).resolve().is_relative_to(root.resolve()):
            raise UserError(f"{entry.path} leaves")

    return read_people(root, refuse)


def paths(found: PeopleFolder) -> list[str]:
    return [one.path for one in found.pictures]


def test_a_picture_belongs_to_the_folder_below_the_root_however_deep_it_lies(tmp_path: Path) -> None:
    found = read(put(tmp_path, ["zoe/1.jpg", "anna/2020/05/1.jpg", "anna/2019/x.png", "anna/0.webp"]))
    assert paths(found) == ["anna/0.webp", "anna/2019/x.png", "anna/2020/05/1.jpg", "zoe/1.jpg"]
    assert [one.person for one in found.pictures] == ["anna", "anna", "anna", "zoe"]
    assert found.words() == "4 images of 2 people"


def test_what_is_not_read_is_counted_by_kind(tmp_path: Path) -> None:
    put(tmp_path, ["a/1.jpg", "a/1.HEIC", "a/2.heic", "a/notes.txt", "a/README", "loose.png", "lfw.bin", "lfw.tsv"])
    put(tmp_path, ["a/.DS_Store", "a/Thumbs.db", "a/@eaDir/1.jpg", ".trash/x/1.jpg", "a/old/.1.jpg"])
    (tmp_path / "nobody").mkdir()
    (tmp_path / "nothing").mkdir()
    found = read(tmp_path)
    assert paths(found) == ["a/1.jpg"]
    assert found.unread.kinds == {
        ".heic": 2, ".txt": 1, "without an ending": 1, "hidden": 5, "outside the folders of people": 1,
    }  # fmt: skip
    words = found.words()
    assert words.startswith("1 image of 1 person; 10 files not read: 5 hidden, 2 .heic, 1 ")
    assert words.endswith("; 2 folders without an image: nobody and 1 more")


@pytest.mark.parametrize("name", ["1.jpg", "1.JPEG", "1.jfif", "1.png", "1.WebP", "1.bmp", "1.tif", "1.tiff"])
def test_every_kind_of_picture_counts(tmp_path: Path, name: str) -> None:
    assert paths(read(put(tmp_path, [f"a/{name}"]))) == [f"a/{name}"]


def test_two_spellings_of_a_name_are_one_person_and_their_pictures_stay_two(tmp_path: Path) -> None:
    found = read(put(tmp_path, [f"{NFC}/1.jpg", f"{NFD}/1.jpg", f"{NFD}/{NFD}.jpg", f"{NFD}/{NFC}.jpg", "anna/1.jpg"]))
    assert {one.person for one in found.pictures} == {"anna", NFC}
    assert len(set(paths(found))) == 5
    assert {(tmp_path / path).read_bytes().decode() for path in paths(found)} == set(paths(found))


def test_a_name_that_is_no_utf_8_survives(tmp_path: Path) -> None:
    strange = os.fsdecode("jos\xe9".encode("latin-1"))
    (tmp_path / os.fsdecode("kar\xe9n".encode("latin-1"))).mkdir()
    found = read(put(tmp_path, [f"{strange}/{strange}.jpg", "anna/1.jpg"]))
    assert [one.person for one in found.pictures] == ["anna", strange]
    assert "kar\\xe9n" in found.words()
    assert found.words().isprintable()
    assert person_name(strange) == strange


def test_a_root_one_level_too_high_is_refused_by_name(tmp_path: Path) -> None:
    put(tmp_path, ["train/anna/1.jpg", "train/zoe/1.jpg", "val/tom/1.jpg"])
    with pytest.raises(UserError, match=r"no folder in it holds an image itself.*train/anna/1.jpg.*is .*/train meant"):
        read(tmp_path)


def test_links_to_folders_are_followed_from_the_root_alone(tmp_path: Path) -> None:
    put(tmp_path, ["a/1.jpg", "a/sub/2.jpg"])
    (tmp_path / "a/loop").symlink_to("..")
    (tmp_path / "b").symlink_to("a/sub")
    (tmp_path / "all").symlink_to(".")
    found = read(tmp_path)
    assert paths(found) == ["a/1.jpg", "a/sub/2.jpg", "b/2.jpg"]
    assert found.unread.kinds == {"links to folders": 2}


def test_a_training_set_and_a_drop_read_one_layout_alike(tmp_path: Path, jpeg) -> None:
    names = [f"{NFC}/1.jpg", f"{NFD}/2.jpg", "p1/1.webp", "nested/2020/0.jpg", "p2/a.jpg", "p2/x.txt", "loose.jpg"]
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(jpeg(number))
    faces, drop = ImageFolderSet(tmp_path), list_drop(tmp_path)
    assert drop is not None
    assert faces.summary == drop.summary
    assert faces.summary.startswith("5 images of 4 people; 2 files not read: ")
    assert [Path(faces.name(i)).relative_to(tmp_path).as_posix() for i in range(5)] == drop.names
    assert [faces.people()[label] for label in faces.labels] == drop.people
    assert [faces.read(i) for i in range(5)] == [(tmp_path / name).read_bytes() for name in drop.names]


def test_an_entry_is_found_in_the_other_spelling(tmp_path: Path) -> None:
    put(tmp_path, [f"{NFD}/{NFC}.jpg"])
    assert as_on_disk(tmp_path, f"{NFC}/{NFD}.jpg").read_bytes().decode() == f"{NFD}/{NFC}.jpg"
    put(tmp_path, [f"{NFC}/{NFD}.jpg"])
    assert as_on_disk(tmp_path, f"{NFC}/{NFD}.jpg").read_bytes().decode() == f"{NFC}/{NFD}.jpg"
    assert as_on_disk(tmp_path, f"{NFC}/absent.jpg") == tmp_path / NFC / "absent.jpg"
