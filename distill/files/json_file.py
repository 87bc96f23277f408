"""The one reader of records: a dataclass from JSON, keys and types checked; a misfit is an error of one line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from distill.errors import UserError
from distill.files.foreign import refuse_foreign
from distill.files.kinds import EMPTY, TEXTS
from distill.files.plain import fits

T = TypeVar("T")
OURS = "JSON that this project wrote"


class Misfit(ValueError):
    """What a value is, by its key: ``views is 'mirror'``, ``arrays.map2 is 3``, ``has the unknown key 'x'``."""


def read_plain(path: Path, wrote: str) -> Any:
    """The content of a JSON file. Raises OSError if it cannot be read, UserError if it is no JSON.

    ``wrote`` names what is expected, such as "the record of a version".
    """
    content = path.read_bytes()
    try:
        return json.loads(content)
    except ValueError as error:
        refuse_foreign(path, wrote, *TEXTS, EMPTY)
        raise UserError(f"{path}: cannot be read: {error}; expected {wrote}") from error


def read_json(path: Path, wrote: str = OURS, absent: str | None = None) -> Any:
    """The same; UserError too where it cannot be read, with the line ``absent`` where there is no such file."""
    try:
        return read_plain(path, wrote)
    except OSError as error:
        if absent is not None and isinstance(error, FileNotFoundError):
            raise UserError(absent) from None
        raise UserError(f"{path}: cannot be read: {error.strerror}; expected {wrote}") from error


def from_text(kind: type[T], text: str | bytes) -> T:
    """``build`` for a line of JSON. Raises ValueError, ``Misfit`` too, where it is none, or not of this kind."""
    return build(kind, json.loads(text))


def through_json(content: Any) -> Any:
    """What is read again of plain content that is written as JSON: lists for tuples, texts for keys."""
    return json.loads(json.dumps(content, allow_nan=False))


def from_plain(kind: type[T], raw: Any, path: Path, wrote: str) -> T:
    """``build`` for what was read from ``path``; UserError names the file and the key."""
    try:
        return build(kind, raw)
    except Misfit as error:
        raise UserError(f"{path}: {error}; expected {wrote}") from None


def build(kind: type[T], raw: Any, where: str = "") -> T:
    """The dataclass ``kind`` from a table of plain values, nested ones too. Raises ``Misfit``."""
    prefix = f"{where}." if where else ""
    if not isinstance(raw, Mapping):
        raise Misfit(f"{where or 'it'} is {_short(raw)}")
    hints, known = get_type_hints(kind), {field.name: field for field in fields(kind)}  # pyright: ignore[reportArgumentType]
    if strange := [key for key in raw if key not in known]:
        raise Misfit(f"{where} has the unknown key {strange[0]!r}".strip())
    for name, field in known.items():
        if name not in raw and field.default is MISSING and field.default_factory is MISSING:
            raise Misfit(f"{prefix}{name} is missing")
    return kind(**{key: _value(hints[key], value, f"{prefix}{key}") for key, value in raw.items()})


def _value(hint: Any, raw: Any, where: str) -> Any:
    """A value that fits ``hint``, with dataclasses built in it at any depth of lists and mappings."""
    if is_dataclass(hint) and isinstance(hint, type):
        return build(hint, raw, where)
    if not fits(raw, hint):
        raise Misfit(f"{where} is {_short(raw)}")
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (list, Sequence):
        return [_value(arguments[0], one, f"{where}[{index}]") for index, one in enumerate(raw)]
    if origin in (dict, Mapping):
        return {key: _value(arguments[1], one, f"{where}.{key}") for key, one in raw.items()}
    return raw


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
