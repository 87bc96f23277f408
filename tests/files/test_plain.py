"""YAML values against annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Optional

import pytest

from distill.files.plain import fits, spell


class Colour(StrEnum):
    red = "red"


@pytest.mark.parametrize(
    ("value", "annotation", "fit"),
    [
        (1, int, True),
        (1.0, int, False),
        (True, int, False),
        (True, float, False),
        (1, float, True),
        ("1", float, False),
        (True, bool, True),
        (1, bool, False),
        ("x", str, True),
        (None, str, False),
        (None, None, True),
        (None, int | None, True),
        ("x", int | None, False),
        (None, Optional[int], True),  # noqa: UP045
        ("a", Literal["a", "b"], True),
        ("c", Literal["a", "b"], False),
        (True, Literal[1], False),
        ([1, 2], tuple[int, ...], True),
        ([1, "2"], tuple[int, ...], False),
        ([1, 2], tuple[float, float], True),
        ([1, 2, 3], tuple[float, float], False),
        ([[1], [2]], Sequence[Sequence[int]], True),
        ("12", Sequence[int], False),
        ([1], list, True),
        ({"a": 1}, Mapping[str, int], True),
        ([1], dict, False),
        ("/x", Path, True),
        (3, Path, False),
        ("red", Colour, True),
        ("blue", Colour, False),
        (object(), Any, True),
        (3, pytest.Item, True),
    ],
)
def test_fits(value: object, annotation: object, fit: bool):
    assert fits(value, annotation) is fit


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "int"),
        (int | None, "int or null"),
        (Literal["rgb", "bgr"], "'rgb' or 'bgr'"),
        (tuple[int, ...], "a list of int"),
        (Sequence[float], "a list of float"),
        (tuple[float, float, float], "3 float"),
    ],
)
def test_spell(annotation: object, words: str):
    assert spell(annotation) == words
