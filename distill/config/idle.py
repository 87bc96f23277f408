"""Options that do not change a run's results: not part of its name or hash, and free to change when it is resumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

from distill.config.groups import IDLE


def idle_options(conf: Any) -> list[str]:
    """The dotted names of all idle options and groups of options of a configuration, sorted."""
    return sorted(_idle(type(conf), ""))


def _idle(kind: type, prefix: str) -> Iterator[str]:
    hints = get_type_hints(kind)
    for one in dataclasses.fields(kind):
        if one.metadata.items() >= IDLE.items():
            yield prefix + one.name
            continue
        for inner in (hints[one.name], *get_args(hints[one.name])):
            if isinstance(inner, type) and dataclasses.is_dataclass(inner):
                yield from _idle(inner, f"{prefix}{one.name}.")


def without(tree: dict[str, Any], options: list[str]) -> dict[str, Any]:
    """Nested tables without the dotted ``options``; those that are not there are none to leave out."""
    inner = [option.partition(".") for option in options]
    return {
        key: without(value, [rest for name, _, rest in inner if name == key and rest])
        if isinstance(value, dict)
        else value
        for key, value in tree.items()
        if not any(name == key and not rest for name, _, rest in inner)
    }
