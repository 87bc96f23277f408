from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from distill.data.decode import decode
from distill.data.faceset import DamagedImage, person_numbers
from distill.data.folder import ImageFolderSet
from distill.errors import UserError


@pytest.fixture
def people(tmp_path: Path, jpeg, picture) -> Path:
    """Two people out of order, in three kinds of file, with things beside them that are no images."""
    for name, number in (("zoe/b.jpg", 0), ("zoe/a.JPEG", 1), ("änne/2.jpg", 2)):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(jpeg(number))
    (tmp_path / "set/zoe/c.png").write_bytes(cv2.imencode(".png", picture(3)[..., ::-1])[1].tobytes())
    (tmp_path / "set/zoe/notes.txt").write_text("x")
    (tmp_path / "set/zoe/features.npy").write_text("x")
    (tmp_path / "set/nobody").mkdir()
    (tmp_path / "set/loose.jpg").write_bytes(jpeg(4))
    return tmp_path / "set"


def test_sorted_people_and_sorted_images(people: Path, jpeg) -> None:
    faces = ImageFolderSet(people)
    assert (len(faces), faces.classes) == (4, 2)
    assert [Path(faces.name(i)).name for i in range(4)] == ["a.JPEG", "b.jpg", "c.png", "2.jpg"]
    assert faces.labels.tolist() == [0, 0, 0, 1]
    assert faces.labels.dtype == np.int64
    assert faces.read(0) == jpeg(1)
    assert pickle.loads(pickle.dumps(faces)).read(3) == jpeg(2)


def test_png_is_exact(people: Path, picture) -> None:
    assert np.array_equal(decode(ImageFolderSet(people).read(2)), picture(3))


def test_fingerprint_follows_content_and_names(people: Path, jpeg) -> None:
    before = ImageFolderSet(people).fingerprint()
    assert ImageFolderSet(people.rename(people.with_name("moved"))).fingerprint() == before
    moved = people.with_name("moved")
    (moved / "zoe/b.jpg").rename(moved / "zoe/d.jpg")
    assert ImageFolderSet(moved).fingerprint() != before


def test_a_file_that_went_away_is_damage(people: Path) -> None:
    faces = ImageFolderSet(people)
    (people / "zoe/b.jpg").unlink()
    with pytest.raises(DamagedImage, match="cannot be read"):
        faces.read(1)


def test_missing_empty_and_unaligned_are_refused_in_one_line(tmp_path: Path, people: Path, jpeg) -> None:
    with pytest.raises(UserError, match="no such folder"):
        ImageFolderSet(tmp_path / "absent")
    (tmp_path / "empty/someone").mkdir(parents=True)
    with pytest.raises(UserError, match="empty: holds no images"):
        ImageFolderSet(tmp_path / "empty")
    (people / "zoe/a.JPEG").write_bytes(jpeg(0, 248))
    with pytest.raises(UserError, match=r"zoe/a.JPEG: is 248x248; expected an aligned 112x112 crop"):
        ImageFolderSet(people)


def test_people_are_known_again_when_others_come(people: Path, jpeg) -> None:
    before = dict(zip(ImageFolderSet(people).people(), person_numbers(ImageFolderSet(people)).tolist(), strict=True))
    (people / "adam").mkdir()
    (people / "adam/1.jpg").write_bytes(jpeg(7))
    faces = ImageFolderSet(people)
    after = dict(zip(faces.people(), person_numbers(faces).tolist(), strict=True))
    assert list(after) == ["adam", *before]
    assert {name: after[name] for name in before} == before
    assert len(set(after.values())) == 3


@pytest.mark.parametrize("link", ["zoe/d.jpg", "bo"])
def test_links_may_not_leave_the_root_unless_that_is_said(tmp_path: Path, people: Path, jpeg, link: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/1.jpg").write_bytes(jpeg(5))
    (people / "zoe/same.jpg").symlink_to("b.jpg")
    assert len(ImageFolderSet(people)) == 5
    (people / link).symlink_to(tmp_path / "other" / ("1.jpg" if link.endswith("jpg") else ""))
    with pytest.raises(
        UserError, match=rf"{link}: is a link that leaves {people}; expected faces there, or data.reader.links=true"
    ):
        ImageFolderSet(people)
    assert len(ImageFolderSet(people, links=True)) == 6
