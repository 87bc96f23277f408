"""The one checker of plain values: whether a value from YAML or JSON fits an annotation, and the annotation as text."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

_PLAIN: dict[Any, tuple[type, ...]] = {
    None: (types.NoneType,),
    types.NoneType: (types.NoneType,),
    bool: (bool,),
    int: (int,),
    float: (int, float),
    str: (str,),
    Path: (str,),
}
"""The types of plain values that can stand for a plain annotation; a bool, an int to Python, stands for itself only."""


def fits(value: Any, annotation: Any) -> bool:
    """Whether ``value``, of the types of YAML and JSON, can stand for ``annotation``."""
    origin = get_origin(annotation) or annotation
    if origin in (Union, types.UnionType):
        return any(fits(value, choice) for choice in get_args(annotation))
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(annotation))
    if origin in (tuple, list, Sequence):
        return isinstance(value, list | tuple) and _items_fit(value, origin, get_args(annotation))
    if origin in (dict, Mapping):
        return isinstance(value, Mapping)
    return _fits_scalar(value, annotation)


def _items_fit(value: Sequence[Any], origin: Any, arguments: tuple[Any, ...]) -> bool:
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return len(value) == len(arguments) and all(fits(v, a) for v, a in zip(value, arguments, strict=True))
    return not arguments or all(fits(v, arguments[0]) for v in value)


def _fits_scalar(value: Any, annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return value in [member.value for member in annotation]
    kinds = _PLAIN.get(annotation)
    if kinds is None:
        return True
    return isinstance(value, kinds) and (annotation is bool or not isinstance(value, bool))


def spell(annotation: Any) -> str:
    """An annotation as text for users: ``int``, ``a list of int``, ``'rgb' or 'bgr'``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(repr(a) for a in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(spell(a) for a in arguments)
    if origin in (tuple, list, Sequence) and arguments:
        count = f"{len(arguments)}" if origin is tuple and arguments[-1] is not Ellipsis else "a list of"
        return f"{count} {spell(arguments[0])}"
    if annotation in (None, type(None)):
        return "null"
    return getattr(annotation, "__name__", str(annotation))
