"""A version is used only while every byte of it is what was added."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.registry.registry import Registry
from distill.registry.version import identity, plain_name, read_version, version_name, version_number
from registry.service import MODEL, MODEL_BYTES


def test_what_was_added_is_verified(root: Path):
    version = Registry(root).version("v0004").verified()
    assert version.file(MODEL).read_bytes()
    assert version.facts == {"night": 4}
    assert version.size_bytes() == MODEL_BYTES + len("# Card\n")
    with pytest.raises(UserError, match=r"v0004 has no weights; expected one of card\.md, student\.onnx$"):
        version.file("weights")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def to_link(path: Path) -> None:
    """The same bytes, but elsewhere, where they can be changed later."""
    elsewhere = path.parents[3] / "elsewhere"
    os.rename(path, elsewhere)
    path.symlink_to(elsewhere)


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (flip, r"student\.onnx: has sha256 [0-9a-f]{64}; expected [0-9a-f]{64}: it is not what was added$"),
        (lambda path: os.truncate(path, 100), r"student\.onnx: has sha256 .*; expected"),
        (os.unlink, r"student\.onnx: No such file or directory; expected a file that can be read$"),
        (to_link, r"student\.onnx: is no file of this version; expected only what was added there$"),
        (lambda path: path.with_name("student.onnx.data").touch(), r"student\.onnx\.data: is no file of this version"),
        (lambda path: path.with_name("cache").mkdir(), r"cache: is no file of this version"),
    ],
)
def test_a_damaged_version_is_refused(root: Path, damage: Callable[[Path], None], line: str):
    damage(root / "champion" / MODEL)
    champion = Registry(root).champion()
    assert champion is not None
    with pytest.raises(UserError, match=line):
        champion.verified()
    with pytest.raises(UserError, match=line):
        Registry(root).promote("v0004", {})


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"format": 2}, "format is 2; expected 1"),
        ({"format": None}, "format is None; expected what this project wrote"),
        ({"name": "v0003"}, "is the record of 'v0003'; expected that of v0004"),
        ({"files": []}, r"files is \[\]; expected what this project wrote"),
        ({"files": {"../secret": "0" * 64}}, "has the file '../secret' with '0"),
        ({"files": {"/etc/passwd": "0" * 64}}, "has the file '/etc/passwd' with '0"),
        ({"files": {"version.json": "0" * 64}}, r"has the file 'version\.json' with"),
        ({"files": {MODEL: "0" * 63}}, "expected a plain name and a sha256"),
        ({"files": {MODEL: 7}}, "expected a plain name and a sha256"),
    ],
)
def test_a_record_that_is_not_ours(root: Path, change: dict[str, object], line: str):
    path = root / "versions/v0004/version.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=line) as told:
        read_version(path.parent)
    assert str(told.value).startswith(f"{path}: ")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"\0" * 300])
def test_a_record_that_is_no_record(root: Path, text: bytes):
    path = root / "versions/v0004/version.json"
    path.write_bytes(text)
    with pytest.raises(UserError, match=r"version\.json(: .*expected| is not .*all zeros)"):
        Registry(root).champion()


def test_names_and_numbers():
    assert [version_name(n) for n in (1, 9999, 10000)] == ["v0001", "v9999", "v10000"]
    assert [version_number(name) for name in ("v0001", "v10000", "v1", "V0001", "v0001 ", "v00a1", ".partial")] == [
        1,
        10000,
        *[None] * 5,
    ]


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a\0b", "a\n", "-rf", "version.json", "a b"])
def test_names_that_no_file_may_have(name: str, root: Path, tmp_path: Path):
    assert not plain_name(name)
    with pytest.raises(UserError, match="a version cannot hold"):
        Registry(root).add({name: tmp_path}, {})


def test_identity_is_of_contents_and_facts_alone():
    one = identity({"a": "1", "b": "2"}, {"x": 1, "y": [2]})
    assert one == identity({"b": "2", "a": "1"}, {"y": [2], "x": 1})
    assert len({one, identity({"a": "1"}, {}), identity({"a": "2"}, {}), identity({"a": "1"}, {"x": 1})}) == 4
