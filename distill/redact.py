"""The one masker of secrets: what looks like a secret is hidden, and refused where a result would keep it.

A secret is known by the name that it stands under, by its place in an address, or by being the value of an environment
variable with such a name. Everything that leaves a process passes here: messages, logs, pages, model cards,
configurations, what W&B is sent and what waits for it in the outbox.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distill.shown import ShownFormatter, shown

HIDDEN = "(hidden)"
_WORDS = r"(?:api|access|secret|private|signing)[_-]?key|token|secret|passw|passphrase|credential"
_NAME = re.compile(_WORDS, re.IGNORECASE)
_VARIABLE = re.compile(rf"{_WORDS}|key", re.IGNORECASE)
"""Names of environment variables; an option of ours that is called ``key`` names a file, a variable holds one."""
_NAMES_A_PLACE = re.compile(r"_(?:file|path|dir)$", re.IGNORECASE)
_OPTION = re.compile(
    rf"""([\w.+-]*(?:{_WORDS})[\w.-]*=|(?<!\w)--?[\w-]*(?:{_WORDS})[\w-]*\s+)("[^"]*"|'[^']*'|[^\s'"]+)""",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"(?<=://)[^/\s]+(?=@)|(?<=[?&]sig=)[^&\s]+|(?<=-signature=)[^&\s]+", re.IGNORECASE)
_SHORTEST = 8
"""Characters of an environment variable's value; shorter ones are no keys, and would be found in any text."""


def is_secret(name: str) -> bool:
    """Whether what stands under this name is a secret."""
    return bool(_NAME.search(name))


def redact(tree: Any) -> Any:
    """A copy of nested mappings and sequences with secrets hidden; sequences become lists, other values stay."""
    if isinstance(tree, Mapping):
        return {
            key: HIDDEN if is_secret(str(key)) and value is not None else redact(value) for key, value in tree.items()
        }
    if isinstance(tree, list | tuple):
        return [redact(value) for value in tree]
    return redact_text(tree) if isinstance(tree, str) else tree


def redact_text(text: str) -> str:
    """A command line, address or message without the values of secret options and variables and without logins."""
    return _IN_URL.sub(HIDDEN, _OPTION.sub(rf"\1{HIDDEN}", redact_known(text)))


def redact_known(text: str) -> str:
    """A text of any format without the secrets in the environment; nothing else of it changes."""
    for value in sorted(_environment().values(), key=len, reverse=True):  # one may hold another
        text = text.replace(value, HIDDEN)
    return text


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
        if len(value) >= _SHORTEST and _VARIABLE.search(name) and not _NAMES_A_PLACE.search(name)
    }


class RedactingFormatter(ShownFormatter):
    """A log message as one line without secrets, and a traceback, where there is one, without them below it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return shown(redact_text(record.message))

    def formatException(self, ei: Any) -> str:
        return redact_text(super().formatException(ei))


def flatten(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Nested configuration as ("a.b", text) pairs, secrets hidden; a list of plain values is one text."""
    yield from _flat(redact(values), "")


def _flat(values: Mapping[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            yield from _flat({str(i): item for i, item in enumerate(value)}, f"{name}.")
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
