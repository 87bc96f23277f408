"""Secrets kept out of what is handed over: the configuration and the command line may hold one by mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

HIDDEN = "(hidden)"
_WORDS = r"(?:api|access|secret|private|signing)[_-]?key|token|secret|passw|passphrase|credential"
_NAME = re.compile(_WORDS, re.IGNORECASE)
_OPTION = re.compile(
    rf"""([\w.+-]*(?:{_WORDS})[\w.-]*=|--?[\w-]*(?:{_WORDS})[\w-]*\s+)("[^"]*"|'[^']*'|[^\s'"]+)""", re.IGNORECASE
)
_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def redact_text(text: str) -> str:
    """A command line or an address without the values of secret options and without logins in URLs."""
    return _LOGIN.sub(HIDDEN, _OPTION.sub(rf"\1{HIDDEN}", text))


def flatten(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested configuration as ("a.b", text) pairs, secrets hidden; a list of plain values is one text."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if _NAME.search(str(key)) and value is not None:
            yield name, HIDDEN
        elif isinstance(value, Mapping) and value:
            yield from flatten(value, f"{name}.")
        elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
            yield from flatten({str(i): item for i, item in enumerate(value)}, f"{name}.")
        else:
            yield name, redact_text(_text(value))


def _text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    return str(value)
