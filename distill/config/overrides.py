"""Overrides as a user writes them, made readable for Hydra: text and paths are quoted, so that they stay as they are.

Hydra would read ``out=2026_11_29`` as a number, ``out=1e5`` as another and ``out=a=b`` not at all. What is quoted
already stays as it is, and so does ``${...}``, which takes the value of another option.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf.errors import GrammarParseError
from omegaconf.grammar_parser import parse

from distill.config.text_options import TextOption, holds_options, targets_in, text_option
from distill.errors import UserError

_QUOTED = r"""\s*(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*"""
_QUOTES = re.compile(_QUOTED, re.DOTALL)
_WORD = r"(?:\$\{[^}]*\}|[^,])*"
_ITEMS = re.compile(rf"({_QUOTED}|{_WORD}),", re.DOTALL)
_LIST = rf"""\s*\[(?:{_QUOTED}|[^\]])*\]\s*"""
_LISTS = re.compile(rf"({_LIST}|{_QUOTED}|{_WORD}),", re.DOTALL)
_ENTRY = rf"\s*\w+\s*:(?:{_LIST}|{_QUOTED}|[^,{{}}]*)"
_ENTRIES = re.compile(rf"({_ENTRY}),", re.DOTALL)
_MAPPING = re.compile(rf"\{{({_ENTRY}(?:,{_ENTRY})*)\}}", re.DOTALL)
_CHOICE = re.compile(r"choice\((.*)\)", re.DOTALL)
_FUNCTION = re.compile(r"(range|interval|glob|tag|shuffle|sort)\(.*\)", re.DOTALL)


def letter_for_letter(conf: type, overrides: Sequence[str], sweep: bool, folder: Path) -> list[str]:
    """The same overrides for a job of type ``conf``, the values of text options quoted for Hydra.

    In a ``sweep``, commas part the values. ``folder`` holds the YAML files that name the classes of ``_target_``.
    """
    return [word for override in overrides for word in _rewritten(conf, override, sweep, folder)]


def _rewritten(conf: type, override: str, sweep: bool, folder: Path) -> list[str]:
    """The override, or those that stand for the entries of a mapping, ``run={root: a, name: b}``."""
    key, equals, value = override.partition("=")
    if not equals or key.startswith("~") or (sweep and _FUNCTION.fullmatch(value)):
        return [override]
    name = key.lstrip("+")
    entries = None if _is_group(name, folder) or not holds_options(conf, name) else _MAPPING.fullmatch(value)
    if entries is not None:
        pairs = (entry.partition(":") for entry in _split(entries[1], _ENTRIES))
        inner = [f"{key}.{option.strip()}={value.strip()}" for option, _, value in pairs]
        return letter_for_letter(conf, inner, sweep, folder)
    return [_one(conf, override, sweep, folder)]


def _one(conf: type, override: str, sweep: bool, folder: Path) -> str:
    key, _, value = override.partition("=")
    name = key.lstrip("+")
    if _is_group(name, folder):
        option = TextOption(many=True, clears=True)
        if not sweep and "," in value:
            return override  # more than one choice: Hydra's message explains it
    else:
        option = text_option(conf, name, targets_in(folder / name.partition(".")[0]))
    if option is None:
        return override
    try:
        return f"{key}={_swept(value, option) if sweep else _value(value, option)}"
    except UserError as error:
        raise UserError(f"cannot read {override!r}: {error}") from error


def _is_group(key: str, folder: Path) -> bool:
    """Whether the value is the choice of a file."""
    group = key.partition("@")[0]
    return "." not in group and (folder / group).is_dir()


def _swept(value: str, option: TextOption) -> str:
    chosen = _CHOICE.fullmatch(value)
    words = _split(chosen[1] if chosen else value, _LISTS if option.many else _ITEMS)
    return ",".join(_value(word.strip(), option) for word in words)


def _value(value: str, option: TextOption) -> str:
    """One value, or a list of them, in Hydra's grammar."""
    if (option.clears and value == "null") or _QUOTES.fullmatch(value):
        return value
    bare = value.strip()
    if option.many and bare.startswith("[") and bare.endswith("]"):
        words = [word.strip() for word in _split(bare[1:-1], _ITEMS)] if bare[1:-1].strip() else []
        return "[" + ",".join(w if _QUOTES.fullmatch(w) else _quoted(w, option) for w in words) + "]"
    return _quoted(value, option)


def _quoted(text: str, option: TextOption) -> str:
    home = os.path.expanduser(text) if option.path else text
    return QuotedString(text=escaped(home), quote=Quote.single).with_quotes()


def quoted(text: str) -> str:
    """A text as a value in Hydra's grammar, in which nothing is an interpolation."""
    return QuotedString(text=literal(text), quote=Quote.single).with_quotes()


def escaped(text: str) -> str:
    """The text as OmegaConf has to be given it: ``${`` that begins no interpolation is no fault of grammar then."""
    if "${" not in text:
        return text
    try:
        parse(text)
    except GrammarParseError:
        return literal(text)
    return text


def literal(text: str) -> str:
    """The text as OmegaConf has to be given it where nothing in it is an interpolation."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def _split(value: str, items: re.Pattern[str]) -> Iterator[str]:
    """The values between commas; a comma inside of quotes, or of a list where lists may stand, parts nothing."""
    rest = value + ","
    while rest:
        found = items.match(rest)
        assert found is not None
        if not found[1].strip():
            raise UserError("one of the values between commas is empty; expected a text, or '' in quotes")
        yield found[1]
        rest = rest[found.end() :]
