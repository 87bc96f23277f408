"""Secrets are not written down: what looks like one is hidden, and refused where it would be kept.

A secret is known by the name that it stands under, by its place in an address, or by being the value of an environment
variable with such a name.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence

from distill.shown import shown

HIDDEN = "(hidden)"
_WORDS = r"(?:api|access|secret|private|signing)[_-]?key|token|secret|passw|passphrase|credential"
_NAME = re.compile(_WORDS, re.IGNORECASE)
_NAMES_A_PLACE = re.compile(r"_(?:file|path|dir|url)$", re.IGNORECASE)
_OPTION = re.compile(
    rf"""([\w.+-]*(?:{_WORDS})[\w.-]*=|--?[\w-]*(?:{_WORDS})[\w-]*\s+)("[^"]*"|'[^']*'|[^\s'"]+)""", re.IGNORECASE
)
_IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)|(?<=[?&]sig=)[^&\s]+|(?<=-signature=)[^&\s]+", re.IGNORECASE)
_SHORTEST = 8
"""Characters of an environment variable's value; shorter ones are no keys, and would be found in any text."""


def is_secret(name: str) -> bool:
    """Whether what stands under this name is a secret."""
    return bool(_NAME.search(name))


def redact_text(text: str) -> str:
    """A command line, address or message without the values of secret options and variables and without logins."""
    for value in _environment().values():
        text = text.replace(value, HIDDEN)
    return _IN_URL.sub(HIDDEN, _OPTION.sub(rf"\1{HIDDEN}", text))


def secret_in(text: str) -> str | None:
    """Which secret a value holds, in words that do not repeat it; None for most texts."""
    if _IN_URL.search(text):
        return "a login or a signature in an address"
    return next((f"the value of {name}" for name, value in _environment().items() if value in text), None)


def _environment() -> dict[str, str]:
    """The secrets in the environment; variables that name a file with a secret hold none."""
    return {
        name: value
        for name, value in os.environ.items()
        if len(value) >= _SHORTEST and is_secret(name) and not _NAMES_A_PLACE.search(name)
    }


def flatten(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested configuration as ("a.b", text) pairs, secrets hidden; a list of plain values is one text."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if is_secret(str(key)) and value is not None:
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


def command_line() -> str:
    """This process's command, without the secrets that it may hold by mistake."""
    return shown(redact_text(shlex.join(["face-distill", *sys.argv[0].split()[1:], *sys.argv[1:]])))
