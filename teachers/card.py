"""The card of a teacher: source, licence, preprocessing, cost and accuracy."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.files.foreign import refuse_foreign
from distill.files.kinds import EMPTY, TEXTS
from distill.files.network_file import NetworkFile
from distill.files.plain import fits, spell
from distill.redact import redact
from distill.types import Preprocessing


@dataclass(frozen=True)
class TeacherCost:
    """One image: multiply-accumulates, FLOPs by the LFR 2019 counter, learnable parameters."""

    macs: int
    flops: int
    parameters: int


@dataclass(frozen=True)
class TeacherScore:
    """Verification accuracy in 0..1 on a named set; null if not measured."""

    set: str | None = None
    accuracy: float | None = None


@dataclass(frozen=True)
class Card:
    """A ``card.yaml``. ``sha256``, ``embedding_dim``, ``cost`` and ``score`` are null where they are not known.

    ``training`` is a free table of how we trained it; ``classes`` and ``data_fingerprint`` identify the classes of the
    classifier in the file, if it has one.
    """

    name: str
    source: str
    licence: str
    preprocessing: Preprocessing
    sha256: str | None = None
    embedding_dim: int | None = None
    cost: TeacherCost | None = None
    score: TeacherScore | None = None
    notes: str = ""
    training: dict | None = None
    classes: int | None = None
    data_fingerprint: str | None = None


def read_card(path: Path) -> Card:
    """Read a card strictly: an unknown key, a missing one or a wrong type is a UserError."""
    if not path.exists():
        raise UserError(f"card {path} does not exist")
    refuse_foreign(path, "a card in YAML", *TEXTS, EMPTY)
    return _parse(_text(path), str(path))


def shipped_card(name: str) -> Card | None:
    """The card that the package ships for a teacher, or None."""
    file = resources.files("teachers") / "cards" / f"{name}.yaml"
    return _parse(file.read_text("utf-8"), f"shipped card {name}") if file.is_file() else None


def card_beside(weights: Path) -> Path | None:
    """``FILE.card.yaml`` or ``STEM.card.yaml``, which describe one file; else the folder's ``card.yaml``."""
    names = (f"{weights.name}.card.yaml", f"{weights.stem}.card.yaml", "card.yaml")
    return next((weights.with_name(n) for n in names if weights.with_name(n).is_file()), None)


def check_hash(card: Card, weights: NetworkFile) -> None:
    """UserError where the file is not the one that the card describes."""
    if card.sha256 is None:
        return
    if (found := weights.sha256) != card.sha256.lower():
        raise UserError(
            f"{weights.path} has another hash than its card says: sha256 {found[:12]}..., the card of {card.name!r} "
            f"says {card.sha256[:12]}...; take the file that the card describes, or correct the card"
        )


def write_card(card: Card, path: Path) -> None:
    """Write ``card.yaml`` atomically, without secrets."""
    content = redact(dataclasses.asdict(card))  # which makes lists of tuples
    write_atomic(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())


def parse_preprocessing(raw: object, where: str) -> Preprocessing:
    """``{order, mean, std}`` from a card, a file's metadata or an override; all three are needed."""
    table = _table(raw, Preprocessing, where)
    if missing := [k for k in ("order", "mean", "std") if k not in table]:
        raise UserError(f"{where}: {missing[0]!r} is missing; expected order, mean and std")
    triples = {k: table[k] for k in ("mean", "std")}
    for key, value in triples.items():
        if not (isinstance(value, list | tuple) and len(value) == 3 and all(_number(v) for v in value)):
            raise UserError(f"{where}: {key} is {value!r}; expected three numbers")
    mean, std = (tuple(float(v) for v in triples[k]) for k in ("mean", "std"))
    return Preprocessing(table["order"], mean, std)  # pyright: ignore[reportArgumentType]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"card {path} cannot be read: {error}") from error


def _parse(text: str, where: str) -> Card:
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{where} is not YAML: {' '.join(str(error).split())}") from error
    table = _table(raw, Card, where)
    if "preprocessing" in table:
        table["preprocessing"] = parse_preprocessing(table["preprocessing"], f"{where}: preprocessing")
    for key, kind in (("cost", TeacherCost), ("score", TeacherScore)):
        if table.get(key) is not None:
            table[key] = _build(kind, _table(table[key], kind, f"{where}: {key}"), f"{where}: {key}")
    return _build(Card, table, where)


def _table(raw: object, kind: type, where: str) -> dict[str, Any]:
    """A mapping with no key that ``kind`` does not know."""
    if not isinstance(raw, Mapping):
        raise UserError(f"{where} holds {type(raw).__name__}; expected a table of keys")
    known = [f.name for f in dataclasses.fields(kind)]
    for key in raw:
        if key not in known:
            near = (difflib.get_close_matches(str(key), known, 1, 0.0) or known)[0]
            raise UserError(f"{where} has the unknown key {key!r}; did you mean {near!r}?")
    return dict(raw)


T = TypeVar("T")


def _build(kind: type[T], table: dict[str, Any], where: str) -> T:
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):  # pyright: ignore[reportArgumentType]
        if field.name not in table:
            if field.default is dataclasses.MISSING:
                raise UserError(f"{where}: {field.name!r} is missing")
        elif not fits(table[field.name], hints[field.name]):
            raise UserError(f"{where}: {field.name} is {table[field.name]!r}; expected {spell(hints[field.name])}")
    return kind(**table)


def _number(value: object) -> bool:
    # a bool is an int to Python
    return isinstance(value, int | float) and not isinstance(value, bool)
