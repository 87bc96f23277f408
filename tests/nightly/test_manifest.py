"""A manifest is read back as it was, and not at all where it was damaged or leads out of its drops."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.errors import UserError
from distill.nightly.freeze import freeze
from distill.nightly.manifest import MANIFEST, DataManifest, read_manifest, within
from reference.drops import jpeg


@pytest.fixture
def manifest(drops: Path, put: Callable[..., Path], put_records: Callable[..., Path]) -> DataManifest:
    put("a", {"änne/1 \udce9.jpg": jpeg(1, 1), "bob/1.jpg": jpeg(2, 1), "bob/2.jpg": b"damaged"})
    put_records("b", [(jpeg(3, 1), 0), (jpeg(2, 1), 1)])
    (drops / "c").mkdir()
    return freeze(drops, None)


def spoilt(manifest: DataManifest, folder: Path, change: Callable[[dict[str, Any]], object]) -> str:
    raw = json.loads(manifest.to_json())
    change(raw)
    (folder / MANIFEST).write_text(json.dumps(raw))
    with pytest.raises(UserError) as caught:
        read_manifest(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_comes_back_as_it_was(manifest: DataManifest, tmp_path: Path):
    (tmp_path / MANIFEST).write_text(manifest.to_json())
    again = read_manifest(tmp_path)
    assert again.to_json() == manifest.to_json()
    assert list(again.entries) == list(manifest.entries)
    assert [drop.left_out for drop in again.drops] == [drop.left_out for drop in manifest.drops]
    assert (again.known_images, again.known_people, len(again)) == (0, 0, 3)


def test_the_hash_follows_contents_names_people_and_numbers(manifest: DataManifest, tmp_path: Path):
    def renamed(raw: dict[str, Any]) -> None:
        raw["drops"][0]["names"][0] = "bob/0.jpg"

    def relabelled(raw: dict[str, Any]) -> None:
        raw["drops"][0]["people"][0] = 1

    def exchanged(raw: dict[str, Any]) -> None:
        raw["drops"][0]["sha256"].reverse()

    def renumbered(raw: dict[str, Any]) -> None:
        raw["people"].reverse()

    for change in (renamed, relabelled, exchanged, renumbered):
        assert "its data_sha256 is not that of its entries" in spoilt(manifest, tmp_path, change)


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "bob/../../x.jpg", "", "bob/\0.jpg"])
def test_no_name_leads_out_of_a_drop(manifest: DataManifest, tmp_path: Path, name: str):
    def lead_out(raw: dict[str, Any]) -> None:
        raw["drops"][0]["names"][0] = name

    def lead_out_drop(raw: dict[str, Any]) -> None:
        raw["drops"][0]["drop"] = name

    with pytest.raises(ValueError, match="is no path within a drop"):
        within(name)
    assert "is no path within a drop" in spoilt(manifest, tmp_path, lead_out)
    assert "is no path within a drop" in spoilt(manifest, tmp_path, lead_out_drop)


def test_what_is_no_manifest_is_refused_in_one_line(manifest: DataManifest, tmp_path: Path):
    def shorten(raw: dict[str, Any]) -> None:
        raw["drops"][0]["people"].pop()

    def lengthen(raw: dict[str, Any]) -> None:
        raw["drops"][0]["people"][0] = 99

    def strange(raw: dict[str, Any]) -> None:
        raw["drops"][0]["kind"] = "pickle"

    for change in (shorten, lengthen, strange, lambda raw: raw.pop("people"), lambda raw: raw.pop("place")):
        assert "is damaged" in spoilt(manifest, tmp_path, change)
    assert "has format 2; expected 1" in spoilt(manifest, tmp_path, lambda raw: raw.update(format=2))
    (tmp_path / MANIFEST).write_text(manifest.to_json()[:-20])
    with pytest.raises(UserError, match="cannot be read"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_text("[]")
    with pytest.raises(UserError, match="is damaged"):
        read_manifest(tmp_path)
    with pytest.raises(UserError, match=r"holds no manifest.json"):
        read_manifest(tmp_path / "absent")
