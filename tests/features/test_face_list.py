"""Lists and labels: what is read, and the errors of everything that is checked before embedding."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from distill.errors import UserError
from distill.features.face_list import FaceList, Kind, find_faces, read_labels, read_lines
from distill.types import UNLABELLED

Read = Callable[..., FaceList]
Refused = Callable[..., str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images a.jpg, b c.jpg, d/é.jpg; videos v1 and v2 of one frame, clip.MP4; an empty folder."""
    folder = tmp_path / "root"
    for name in ("a.jpg", "b c.jpg", "d/é.jpg", "v1/0.jpg", "v2/0.jpg", "clip.MP4", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "empty").mkdir()
    (folder / "empty" / "._0.jpg").write_bytes(b"what a Mac leaves behind")
    return folder


@pytest.fixture
def read(root: Path, tmp_path: Path) -> Read:
    def run(content: bytes | str, kind: Kind = "image") -> FaceList:
        path = tmp_path / "list.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return find_faces(read_lines(path, kind), root, kind)

    return run


@pytest.fixture
def refused(read: Read, tmp_path: Path) -> Callable[..., str]:
    def run(content: bytes | str, kind: Kind = "image") -> str:
        with pytest.raises(UserError) as caught:
            read(content, kind)
        line = str(caught.value)
        assert "\n" not in line
        return line.removeprefix(str(tmp_path / "list.txt"))

    return run


@pytest.mark.parametrize(
    "content",
    [
        "a.jpg\nb c.jpg\nd/é.jpg",
        "a.jpg\nb c.jpg\nd/é.jpg\n",
        "a.jpg\r\nb c.jpg\r\nd/é.jpg\r\n\r\n",
        "\ufeff  a.jpg\nb c.jpg  \n\td/é.jpg\n\n\n",
    ],
)
def test_images_are_whole_lines(read: Read, root: Path, content: str):
    faces = read(content)
    assert [faces.entry(row) for row in range(len(faces))] == ["a.jpg", "b c.jpg", "d/é.jpg"]
    assert faces.path(1) == root / "b c.jpg"
    assert faces.place(2) == f"{faces.lines.path}, line 3: {root / 'd/é.jpg'}"


def test_videos_are_first_words(read: Read, root: Path):
    faces = read("v1 12 3\nv2\nclip.MP4\tanna\n", "video")
    assert [faces.path(row) for row in range(3)] == [root / "v1", root / "v2", root / "clip.MP4"]


def test_the_progress_of_the_search(root: Path, tmp_path: Path):
    for number in range(600):
        (root / f"{number}.jpg").touch()
    (tmp_path / "l").write_text("".join(f"{number}.jpg\n" for number in range(600)))
    told: list[int] = []
    find_faces(read_lines(tmp_path / "l", "image"), root, "image", told.append)
    assert 1 < len(told) < 600
    assert 300 < sum(told) <= 600


def test_the_hash_is_that_of_the_file(read: Read):
    assert read("a.jpg\n").lines.sha256 != read("a.jpg").lines.sha256
    assert read("a.jpg\n").lines.sha256 == read("a.jpg\n").lines.sha256


@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff\n"])
def test_an_empty_list(refused: Refused, content: str):
    assert refused(content) == ": is empty; expected the path of an image on each line"


def test_an_empty_line_between_others(refused: Refused):
    assert refused("a.jpg\n\nb c.jpg\n") == ", line 2: is empty; expected the path of an image"


def test_a_list_in_latin_1_names_files_by_their_bytes(tmp_path: Path):
    for name in (b"a.jpg", b"\xe9.jpg"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"")
    (tmp_path / "list.txt").write_bytes(b"a.jpg\n\xe9.jpg\n")
    faces = find_faces(read_lines(tmp_path / "list.txt", "image"), tmp_path, "image")
    assert os.fsencode(faces.path(1)).endswith(b"/\xe9.jpg")


def test_a_list_in_utf_16(refused: Refused):
    assert refused("a.jpg\n".encode("utf-16")).endswith("-t UTF-8 list.txt > NEW`")


def test_a_list_in_latin_1_of_files_in_utf_8(refused: Refused):
    content = "a.jpg\nd/é.jpg\n".encode("latin-1")
    assert refused(content).endswith(
        "no such file; expected an image (the line is not UTF-8; does the list have another encoding?)"
    )
    assert refused(b"\xef\xbb\xbf" + content) == refused(content)


def test_a_list_that_is_not_there(tmp_path: Path):
    with pytest.raises(UserError, match=r"none\.txt: No such file or directory; expected a text file with the path"):
        read_lines(tmp_path / "none.txt", "image")


def test_a_root_that_is_not_there(read: Read, tmp_path: Path):
    lines = read("a.jpg").lines
    with pytest.raises(UserError, match=r"nowhere: no such folder; expected the one that .*list\.txt start"):
        find_faces(lines, tmp_path / "nowhere", "image")


@pytest.mark.parametrize("entry", ["../root/a.jpg", "d/../../root/a.jpg", "/etc/passwd", "a\0.jpg", ".."])
@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_path_that_leaves_the_root(refused: Refused, root: Path, entry: str, kind: Kind):
    said = refused(f"{'a.jpg' if kind == 'image' else 'v1'}\n{entry}\n", kind)
    assert said == f", line 2: {entry!r} leaves the root; expected a path below {root}, without '..'"


def test_links_lead_out_of_the_root_only_where_that_is_said(root: Path, tmp_path: Path, read: Read, refused: Refused):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "0.jpg").write_bytes(b"x")
    (root / "same.jpg").symlink_to("a.jpg")
    (root / "out.jpg").symlink_to(tmp_path / "other" / "0.jpg")
    (root / "away").symlink_to(tmp_path / "other")
    (root / "v1" / "1.jpg").symlink_to(tmp_path / "other" / "0.jpg")
    assert len(read("same.jpg\n")) == 1
    cases: list[tuple[str, Kind, str]] = [
        ("out.jpg", "image", "out.jpg"),
        ("away/0.jpg", "image", "away/0.jpg"),
        ("away", "video", "away"),
        ("v1", "video", "v1/1.jpg"),
    ]
    for entry, kind, place in cases:
        assert refused(f"{entry}\n", kind) == (
            f", line 1: {root / place}: is behind a link that leaves the root; expected it below {root}, or links=true "
            "(make evaluate: data.links=true)"
        )
        assert len(find_faces(read_lines(tmp_path / "list.txt", kind), root, kind, links=True)) == 1


def test_two_dots_in_a_name_leave_nothing(read: Read, root: Path):
    (root / "a..b.jpg").write_bytes(b"x")
    assert len(read("a..b.jpg\n")) == 1


@pytest.mark.parametrize(
    ("kind", "entry", "expected"),
    [
        ("image", "none.jpg", "none.jpg: no such file; expected an image"),
        ("image", "d", "d: is a folder; expected an image (kind=video takes folders of frames)"),
        ("image", "a.jpg/b", "a.jpg/b: no such file; expected an image"),
        ("image", "x" * 300, ": File name too long; expected an image that can be read"),
        ("video", "none", "none: no such file; expected a video"),
        ("video", "empty", "empty: is an empty video; expected at least one frame *.jpg"),
        ("video", "notes.txt", "notes.txt: is no video; expected a folder of frames, or a file that ends in .avi"),
    ],
)
def test_an_entry_that_cannot_be_a_row(refused: Refused, kind: Kind, entry: str, expected: str):
    said = refused(f"{'a.jpg' if kind == 'image' else 'v1'}\n{entry}\n", kind)
    assert said.startswith(", line 2: ")
    assert expected in said


@pytest.mark.parametrize("again", ["a.jpg", "./a.jpg", "d/./é.jpg", "d//é.jpg"])
def test_a_row_that_comes_twice(refused: Refused, again: str):
    earlier = 1 if again.endswith("a.jpg") else 2
    said = refused(f"a.jpg\nd/é.jpg\n{again}\n")
    assert said == f", line 3: {again} stands in line {earlier} already; expected every line once"
    assert refused("v1 x\nv2\nv1 y\n", "video").startswith(", line 3: v1 stands in line 1 already")


def test_the_first_of_many_mistakes_and_their_number(refused: Refused):
    said = refused("a.jpg\nnone.jpg\na.jpg\n../x\na.jpg\n")
    assert said.startswith(", line 2: ")
    assert said.endswith("no such file; expected an image (4 of 5 lines are wrong)")
    assert refused("a.jpg\na.jpg\nnone.jpg\n").startswith(", line 2: a.jpg stands in line 1 already")


def test_labels_are_numbers_by_first_appearance(read: Read, tmp_path: Path):
    faces, labels = read("a.jpg\nb c.jpg\nd/é.jpg\n"), tmp_path / "labels.txt"
    labels.write_text("anna maria\n-\nbo\n")
    np.testing.assert_array_equal(read_labels(labels, faces), [0, UNLABELLED, 1])
    labels.write_text("0\n1\n0\n")
    assert read_labels(labels, faces).tolist() == [0, 1, 0]


@pytest.mark.parametrize(("content", "said"), [("x\ny\n", "2 labels"), ("x\ny\nz\nz\n", "4 labels"), ("x", "1 labels")])
def test_labels_for_fewer_or_more_rows(read: Read, tmp_path: Path, content: str, said: str):
    labels = tmp_path / "labels.txt"
    labels.write_text(content)
    with pytest.raises(UserError, match=rf"labels\.txt: has {said}, and .*list\.txt 3 lines; expected one for each"):
        read_labels(labels, read("a.jpg\nb c.jpg\nd/é.jpg\n"))


def test_an_empty_label(read: Read, tmp_path: Path):
    labels = tmp_path / "labels.txt"
    labels.write_text("x\n\ny\n")
    with pytest.raises(UserError, match=r"labels\.txt, line 2: is empty; expected a label, or - for a distractor"):
        read_labels(labels, read("a.jpg\nb c.jpg\nd/é.jpg\n"))
