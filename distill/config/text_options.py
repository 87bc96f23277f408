"""Which options are text or paths: their values are taken letter for letter, whatever number or word they look like.

The schema decides: fields of type ``str`` or ``list[str]``, those marked as ``PATHS``, and the
text parameters of what a ``_target_`` names.
"""

from __future__ import annotations

import dataclasses
import os.path
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from distill.config.groups import PATH
from distill.config.signatures import signature
from distill.errors import UserError


@dataclass(frozen=True)
class TextOption:
    """How the text of an option is written: one, or ``[a,b]``; whether ``null`` clears it, and ``~`` is a home."""

    one: bool = True
    many: bool = False
    clears: bool = False
    path: bool = False


def text_option(conf: type, key: str, targets: Sequence[str] = ()) -> TextOption | None:
    """The text option with the dotted ``key`` below ``conf``; None for what is none, or not known.

    ``targets`` are classes that nodes with a ``_target_`` may name: their parameters are options as well.
    """
    return _follow(conf, key.split("."), {}, targets)


def holds_options(conf: type, key: str) -> bool:
    """Whether the dotted ``key`` below ``conf`` is a group of options of a dataclass."""
    kind: Any = conf
    for name in key.split("."):
        kind = get_type_hints(kind).get(name) if isinstance(kind, type) and dataclasses.is_dataclass(kind) else None
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def expanded(conf: Any) -> Any:
    """The same configuration, ``~`` and ``~user`` at the start of its paths replaced by the home folder."""
    changes = {f.name: _expanded_field(getattr(conf, f.name), f.metadata) for f in dataclasses.fields(conf)}
    return dataclasses.replace(conf, **changes)


def _expanded_field(value: Any, metadata: Mapping[str, Any]) -> Any:
    if dataclasses.is_dataclass(value):
        return expanded(value)
    if not metadata.get("path"):
        return value
    if isinstance(value, list):
        return [os.path.expanduser(item) if isinstance(item, str) else item for item in value]
    return os.path.expanduser(value) if isinstance(value, str) else value


def text_parameter(target: str, name: str) -> TextOption | None:
    """The parameter of a class that a ``_target_`` may name, where it is text."""
    try:
        found = signature(target, target).parameters.get(name)
    except UserError:
        return None  # reported where the target is built
    return None if found is None else _as_text(found.annotation, {})


@cache
def targets_in(folder: Path) -> tuple[str, ...]:
    """Every class that the YAML files below ``folder`` name as ``_target_``."""
    files = sorted(folder.rglob("*.yaml")) if folder.is_dir() else []
    return tuple(sorted({t for f in files for t in re.findall(r"_target_:\s*([\w.]+)", f.read_text("utf-8"))}))


def _follow(
    annotation: Any, names: list[str], metadata: Mapping[str, Any], targets: Sequence[str]
) -> TextOption | None:
    if not names:
        return _as_text(annotation, metadata)
    first, *rest = names
    kind = next(iter(_choices(annotation)), Any)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        field = next((f for f in dataclasses.fields(kind) if f.name == first), None)
        return field and _follow(get_type_hints(kind)[first], rest, field.metadata, targets)
    if metadata.get("one_or_more") and first.isdigit():
        return _follow(str, rest, PATH, targets)
    if get_origin(kind) is list and first.isdigit():
        return _follow(get_args(kind)[0], rest, metadata, targets)
    return _follow_mapping(kind, names, targets)


def _follow_mapping(kind: Any, names: list[str], targets: Sequence[str]) -> TextOption | None:
    if get_origin(kind) is not dict:
        return None
    if (value := get_args(kind)[1]) is not Any:
        return _follow(value, names[1:], {}, targets)
    options = (text_parameter(target, names[-1]) for target in targets)
    return next((option for option in options if option), None)


def _as_text(annotation: Any, metadata: Mapping[str, Any]) -> TextOption | None:
    choices = list(_choices(annotation))
    one = str in choices or Path in choices
    many = any(get_origin(c) in _LISTS and get_args(c)[:1] in ((str,), (Path,)) for c in choices)
    if metadata.get("one_or_more"):
        one = many = True
    elif not (one or many):
        return None
    clears = len(choices) < len(get_args(annotation)) or (annotation is Any and metadata.get("what") is None)
    return TextOption(one, many, clears, bool(metadata.get("path")))


_LISTS = (list, tuple, Sequence)


def _choices(annotation: Any) -> Iterator[Any]:
    """What an annotation allows besides None."""
    if get_origin(annotation) in (Union, types.UnionType):
        yield from (choice for choice in get_args(annotation) if choice is not types.NoneType)
    else:
        yield annotation
