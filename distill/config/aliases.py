"""Options with a better name or value beside the one that configurations were written with: both mean the same.

The stored name stays the first one, so run names, hashes and files of earlier versions keep their meaning.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import is_dataclass
from typing import get_type_hints

from distill.errors import UserError

BETTER = {
    "bootstrap": "resamples",
    "batch_images": "batch_size",
    "protocol.far_target": "protocol.target_fpr",
    "judge.fpr": "judge.target_fpr",
    "judge.floor": "judge.min_score",
}
"""The better name of each stored option, in the jobs that have it."""
BETTER_VALUES = {"start": {"anew": "scratch"}}
"""The better names of an option's stored values."""
_log = logging.getLogger(__name__)


def as_stored(conf: type, overrides: Sequence[str]) -> list[str]:
    """The same overrides of a job of type ``conf`` under their stored names; a line for each older name that is used.

    Raises UserError where one option is given under both of its names.
    """
    known = {old: better for old, better in BETTER.items() if _has(conf, old)}
    given = {_key(override) for override in overrides}
    for old, better in known.items():
        if {old, better} <= given:
            raise UserError(f"{better} and {old} are one option and both are given; expected {better} alone")
        if old in given:
            _log.info("option    %s is called %s now; both are understood", old, better)
    stored = {better: old for old, better in known.items()}
    values = {key: words for key, words in BETTER_VALUES.items() if _has(conf, key)}
    return [_stored(override, stored, values) for override in overrides]


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _stored(override: str, names: dict[str, str], values: dict[str, dict[str, str]]) -> str:
    """One override under its stored name, with stored words among its comma-separated values."""
    left, equals, value = override.partition("=")
    key = _key(override)
    prefix = left.removesuffix(key)
    if key in values:
        value = ",".join(_words(key, value.split(","), values[key]))
    return f"{prefix}{names.get(key, key)}{equals}{value}"


def _words(key: str, given: Iterable[str], better: dict[str, str]) -> Iterable[str]:
    old_of = {new: old for old, new in better.items()}
    for word in given:
        if word in better:
            _log.info("option    %s=%s is called %s=%s now; both are understood", key, word, key, better[word])
        yield old_of.get(word, word)


def _has(conf: type, key: str) -> bool:
    """Whether the dataclass has an option at the dotted ``key``."""
    for name in key.split("."):
        hints = get_type_hints(conf) if is_dataclass(conf) else {}
        if name not in hints:
            return False
        conf = hints[name]
    return True
