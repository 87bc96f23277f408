"""Explanations of options are the docstrings below the fields of the settings."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from distill.config.field_docs import field_doc
from distill.config.groups import needed_path
from distill.config.jobs import JOBS
from reference.option_fields import fields_below


@dataclass
class Inner:
    """A group of options.

    Its second paragraph.
    """

    size: int = 1
    """Width of it, in ``px``; a second
    line belongs to it."""


@dataclass
class Outer:
    silent: int = 0
    asked: str = needed_path("a file, e.g. asked=x")
    group: Inner = field(default_factory=Inner)
    several: dict[str, Inner] = field(default_factory=dict)
    """By name."""


@dataclass
class Derived(Outer):
    silent: int = 2
    """Said here."""


@pytest.mark.parametrize(
    ("kind", "name", "doc"),
    [
        (Inner, "size", "Width of it, in px; a second line belongs to it."),
        (Outer, "asked", "a file, e.g. asked=x"),
        (Outer, "group", "A group of options."),
        (Outer, "several", "By name."),
        (Outer, "silent", ""),
        (Derived, "silent", "Said here."),
        (Derived, "several", "By name."),
    ],
)
def test_where_an_explanation_comes_from(kind: type, name: str, doc: str):
    assert field_doc(kind, name) == doc


def test_all_fields_of_a_tree():
    places = [place for place, _, _ in fields_below(Outer)]
    assert places == ["silent", "asked", "group", "group.size", "several", "several.size"]


@pytest.mark.parametrize("job", JOBS)
def test_every_option_is_explained_beside_its_field(job: str):
    silent = {
        f"{owner.__name__}.{name}" for _, owner, name in fields_below(JOBS[job].conf) if not field_doc(owner, name)
    }
    assert silent == set()
