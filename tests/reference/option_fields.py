"""Every option of a job, through all of its groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import get_type_hints

from distill.config.field_docs import group_in


def fields_below(kind: type, prefix: str = "") -> Iterator[tuple[str, type, str]]:
    """(dotted place, owner, name) of every field of a tree of dataclasses, groups themselves included."""
    for one in dataclasses.fields(kind):
        yield prefix + one.name, kind, one.name
        inner = group_in(get_type_hints(kind)[one.name])
        if inner is not None:
            yield from fields_below(inner, f"{prefix}{one.name}.")
