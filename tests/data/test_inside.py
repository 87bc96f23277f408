from __future__ import annotations

from pathlib import Path

import pytest

from distill.data.inside import Inside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that is reached by a link, with links inside that stay and links that leave."""
    (tmp_path / "real" / "people" / "anna").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    for name in ("real/people/anna/1.jpg", "other/1.jpg"):
        (tmp_path / name).write_bytes(b"x")
    root = tmp_path / "root"
    root.symlink_to("real")
    (root / "people/anna/same.jpg").symlink_to("1.jpg")
    (root / "people/anna/out.jpg").symlink_to(tmp_path / "other/1.jpg")
    (root / "people/anna/gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (root / "people/again").symlink_to("anna")
    (root / "people/bo").symlink_to("../../other")
    return root


@pytest.mark.parametrize("name", ["people/anna/1.jpg", "people/anna/same.jpg", "people/again/1.jpg", "people/none.jpg"])
def test_what_stays(root: Path, name: str):
    assert root / name in Inside(root)


@pytest.mark.parametrize(
    "name",
    ["people/anna/out.jpg", "people/anna/gone.jpg", "people/bo/1.jpg", "people/bo", "../other/1.jpg", "/etc/passwd"],
)
def test_what_leaves(root: Path, name: str):
    inside = Inside(root)
    assert root / name not in inside
    assert root / name not in inside, "asked again, it is the same"


def test_a_neighbour_whose_name_begins_alike_is_outside(tmp_path: Path):
    for name in ("faces", "faces2"):
        (tmp_path / name).mkdir()
    assert tmp_path / "faces2" / "1.jpg" not in Inside(tmp_path / "faces")
