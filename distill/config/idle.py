"""Options that do not change a run's results: not part of its name or hash, and free to change when it is resumed.

An option that is newer than the first runs counts as absent while it is null, so that these keep their names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_type_hints

from distill.config.groups import IDLE, LATER


def idle_options(conf: Any) -> list[str]:
    """The dotted names of all idle options and groups of options of a configuration, sorted."""
    return sorted(_marked(type(conf), IDLE, ""))


def later_options(conf: Any) -> list[str]:
    """The dotted names of all options that count as absent while they are null."""
    return sorted(_marked(type(conf), LATER, ""))


def _marked(kind: type, mark: Mapping[str, Any], prefix: str) -> Iterator[str]:
    hints = get_type_hints(kind)
    for one in dataclasses.fields(kind):
        if one.metadata.items() >= mark.items():
            yield prefix + one.name
            continue
        for inner in (hints[one.name], *get_args(hints[one.name])):
            if isinstance(inner, type) and dataclasses.is_dataclass(inner):
                yield from _marked(inner, mark, f"{prefix}{one.name}.")


def counted(tree: dict[str, Any], conf: Any, *ignored: str) -> dict[str, Any]:
    """What of a tree decides a run of ``conf``: no idle options, none of ``ignored``, no later ones that are null."""
    unset = [option for option in later_options(conf) if _value(tree, option) is None]
    return without(tree, [*ignored, *idle_options(conf), *unset])


def _value(tree: Any, option: str) -> Any:
    for key in option.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


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
