from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from distill.errors import UserError
from distill.files.json_file import Misfit, build, from_plain, read_plain


@dataclass(frozen=True)
class Part:
    kind: Literal["a", "b"]


@dataclass(frozen=True)
class Whole:
    name: str
    parts: list[Part] = field(default_factory=list)
    counts: Mapping[str, int] = field(default_factory=dict)


def test_nested_dataclasses_are_built() -> None:
    assert build(Whole, {"name": "x", "parts": [{"kind": "a"}]}) == Whole("x", [Part("a")])


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ([], r"it is \[\]"),
        ({}, "name is missing"),
        ({"name": 3}, "name is 3"),
        ({"name": "x", "more": 1}, "has the unknown key 'more'"),
        ({"name": "x", "parts": [{"kind": "c"}]}, r"parts\[0\]\.kind is 'c'"),
        ({"name": "x", "counts": {"a": True}}, r"counts\.a is True"),
    ],
)
def test_what_does_not_fit_is_named_with_file_and_key(raw: Any, told: str) -> None:
    with pytest.raises(Misfit, match=told):
        build(Whole, raw)
    with pytest.raises(UserError, match=rf"^a\.json: {told}; expected ours$"):
        from_plain(Whole, raw, Path("a.json"), "ours")


def test_no_json_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UserError, match=r"a\.json: cannot be read: .*; expected ours"):
        read_plain(tmp_path / "a.json", "ours")
