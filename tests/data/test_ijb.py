"""The public layout read back, and every kind of mistake in it reported with file and line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from distill.data import ijb
from distill.data.faceset import DamagedImage
from distill.data.ijb import IjbFolder, find_ijb, read_enrolment, read_faces, read_template_pairs
from distill.errors import UserError
from reference import ijb_layout

SMALL = ijb_layout.small()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SMALL.write(tmp_path_factory.mktemp("ijb") / "IJBC")


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy, free to be damaged."""
    return Path(shutil.copytree(written, tmp_path / "IJBC"))


def edited(root: Path, name: str, number: int, line: str) -> Path:
    """Replace line ``number`` of a meta file."""
    path = root / "meta" / name
    lines = path.read_text().splitlines()
    lines[number - 1] = line
    path.write_text("\n".join(lines) + "\n")
    return path


def read_all(root: Path) -> None:
    folder = find_ijb(root)
    templates = np.unique(read_faces(folder).template)
    read_template_pairs(folder, templates)
    for path in (*folder.galleries().values(), folder.probes()):
        read_enrolment(path, templates)


def test_images_templates_media_points_and_scores(root: Path):
    faces = read_faces(find_ijb(root))
    assert faces.folder == IjbFolder(root, "ijbc")
    assert faces.names[0] == "1.jpg"
    assert faces.template.tolist() == [image.template for image in SMALL.images]
    assert faces.medium.tolist() == [image.medium for image in SMALL.images]
    assert faces.score.tolist() == [image.score for image in SMALL.images]
    places = ijb_layout.moved(ijb_layout.TEMPLATE_PX, ijb_layout.turned(2))
    np.testing.assert_allclose(faces.points_px[1], places, atol=6e-4)


def test_crops_are_the_faces_before_they_were_turned(root: Path):
    faces = read_faces(find_ijb(root))
    for row in (0, 7, 30):
        difference = faces.crop(row).astype(float) - SMALL.images[row].crop
        assert np.abs(difference[8:-8, 8:-8]).mean() < 2, "a shift by one pixel makes it more than 4"


def test_pairs_and_enrolments_are_rows_of_the_sorted_templates(root: Path):
    folder = find_ijb(root)
    templates = np.unique(read_faces(folder).template)
    read: list[int] = []
    pairs = read_template_pairs(folder, templates, read.append)
    found = zip(templates[pairs.left].tolist(), templates[pairs.right].tolist(), pairs.same.tolist(), strict=True)
    assert list(found) == [(a, b, bool(s)) for a, b, s in SMALL.pairs]
    assert sum(read) == folder.meta(ijb.PAIRS).stat().st_size
    assert list(folder.galleries()) == ["G1", "G2"]
    gallery = read_enrolment(folder.galleries()["G2"], templates)
    assert templates[gallery.template].tolist() == [103, 104]
    assert gallery.subject.tolist() == [3, 4]


def test_pairs_are_read_in_stretches_as_at_once(root: Path, monkeypatch: pytest.MonkeyPatch):
    folder = find_ijb(root)
    templates = np.unique(read_faces(folder).template)
    whole = read_template_pairs(folder, templates)
    monkeypatch.setattr(ijb, "_LINES", 5)
    parts = read_template_pairs(folder, templates)
    for name in ("left", "right", "same"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    path = edited(root, "ijbc_template_pair_label.txt", 13, "101 555 0")
    with pytest.raises(UserError, match=f"{path}, line 13: names template 555"):
        read_template_pairs(folder, templates)


def test_the_fingerprint_is_that_of_the_text(root: Path):
    before = read_faces(find_ijb(root)).fingerprint()
    assert read_faces(find_ijb(root)).fingerprint() == before
    edited(root, "ijbc_face_tid_mid.txt", 1, "1.jpg 101 9999")
    assert read_faces(find_ijb(root)).fingerprint() != before


FACES, POINTS, PAIRS, G1 = (
    f"ijbc_{rest}"
    for rest in ("face_tid_mid.txt", "name_5pts_score.txt", "template_pair_label.txt", "1N_gallery_G1.csv")
)
NO_COLUMN = "names no column TEMPLATE_ID; expected TEMPLATE_ID, SUBJECT_ID among others"
TEN = "1 2 3 4 5 6 7 8 9 10"


@pytest.mark.parametrize(
    ("name", "number", "line", "told"),
    [
        (FACES, 3, "3.jpg 101", "has 2 fields; expected 3: 'name template medium'"),
        (FACES, 4, "4.jpg x 5", "has 'x'; expected an integer"),
        (FACES, 4, f"4.jpg 1 {1 << 63}", f"has {1 << 63}; expected an integer of at most 63 bits"),
        (POINTS, 2, f"2.jpg {TEN}", "has 11 fields; expected 12: 'name x1 y1 ... x5 y5 score'"),
        (POINTS, 2, f"2.jpg {TEN} nan", "has 'nan'; expected a number"),
        (POINTS, 2, f"2.jpg {TEN.replace('7', 'seven')} 0.9", "has 'seven'; expected a number"),
        (POINTS, 2, f"2.jpg {'5 6 ' * 5}0.9", "puts all five points at 5, 6; expected the points of a face"),
        (POINTS, 2, f"9.jpg {TEN} 0.9", f"names '9.jpg'; expected '2.jpg', in the order of {FACES}"),
        (PAIRS, 5, "101 11 2", "has the label 2; expected 0 or 1"),
        (PAIRS, 5, "101 12345 0", "names template 12345; expected one that has an image"),
        (PAIRS, 5, "101 11", "has 2 fields; expected 3: 'template template 0' or '... 1'"),
        (PAIRS, 5, "101 11 0.5", "has '0.5'; expected an integer"),
        (G1, 1, "TEMPLATE,SUBJECT_ID,FILENAME,SIGHTING_ID,FACE_X", NO_COLUMN),
        (G1, 3, "101,2,img/2.jpg,7,12.5", "gives template 101 to subject 2; expected 1, as above"),
        (G1, 3, "77,2,img/2.jpg,7,12.5", "names template 77; expected one that has an image"),
        (G1, 3, "101,one,img/2.jpg,7,12.5", "has 'one'; expected an integer"),
        (G1, 3, "101,1", "has 2 fields; expected 5, as in the first line"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_and_line(root: Path, name: str, number: int, line: str, told: str):
    path = edited(root, name, number, line)
    with pytest.raises(UserError) as caught:
        read_all(root)
    assert str(caught.value) == f"{path}, line {number}: {told}"


@pytest.mark.parametrize("name", ["../../other/4.jpg", "/etc/passwd", "../meta/../../other/4.jpg", "link.jpg"])
def test_an_image_outside_of_its_folder_is_refused(root: Path, name: str):
    (root.parent / "other").mkdir()
    shutil.copy(root / "loose_crop" / "4.jpg", root.parent / "other")
    (root / "loose_crop" / "link.jpg").symlink_to(root.parent / "other" / "4.jpg")
    edited(root, FACES, 4, f"{name} 101 1")
    path = edited(root, POINTS, 4, f"{name} {TEN} 0.9")
    with pytest.raises(UserError) as caught:
        read_all(root)
    crops = root / "loose_crop"
    assert str(caught.value) == f"{path}, line 4: names {name!r}, which leaves {crops}; expected an image below it"


def test_the_folder_of_images_itself_may_be_a_link(root: Path):
    (root / "loose_crop").rename(root.parent / "elsewhere")
    (root / "loose_crop").symlink_to(root.parent / "elsewhere")
    read_all(root)


def test_what_is_missing_is_named(root: Path):
    os.remove(root / "loose_crop" / "4.jpg")
    with pytest.raises(UserError) as caught:
        read_all(root)
    image = root / "loose_crop" / "4.jpg"
    assert str(caught.value) == (
        f"{root}/meta/{POINTS}, line 4: names '4.jpg'; expected the image {image}, which is not there"
    )
    (root / "meta" / PAIRS).unlink()
    with pytest.raises(UserError, match=f"{PAIRS}: no such file; expected it beside {FACES}"):
        find_ijb(root)
    with pytest.raises(UserError, match=r"has 0 files meta/\*_face_tid_mid.txt; expected one: data.root is the folder"):
        find_ijb(root / "meta")


@pytest.mark.parametrize(("keep", "told"), [
    (5, f"has 5 images; expected the {len(SMALL.images)} of {FACES}"),
    (len(SMALL.images), None),
])  # fmt: skip
def test_as_many_points_as_images(root: Path, keep: int, told: str | None):
    path = root / "meta" / POINTS
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:keep], "\n"]))
    if told is None:
        read_all(root)  # an empty line at the end is none
        path.write_text("".join([*lines, f"99.jpg {TEN} 1\n"]))
        told = f"line {len(lines) + 1}: names '99.jpg'; expected no further image"
    with pytest.raises(UserError, match=told):
        read_all(root)


@pytest.mark.parametrize(("name", "told"), [
    (FACES, "is empty; expected 'name template medium' on every line"),
    (PAIRS, "holds no pairs"),
    (G1, "line 1: names no column TEMPLATE_ID"),
])  # fmt: skip
def test_empty_files_are_refused(root: Path, name: str, told: str):
    (root / "meta" / name).write_text("\n")
    with pytest.raises(UserError, match=told):
        read_all(root)


def test_a_broken_image_is_named(root: Path):
    faces = read_faces(find_ijb(root))
    path = root / "loose_crop" / "1.jpg"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DamagedImage, match="incomplete JPEG"):
        faces.crop(0)
