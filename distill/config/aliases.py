"""Options with a better name or value beside the one that configurations are stored with: both mean the same.

Run names, hashes and files keep the stored name, so what an earlier version wrote keeps its meaning. Help, messages and
suggestions use the better one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import is_dataclass
from typing import Any, get_type_hints

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


def better_names(conf: type) -> dict[str, str]:
    """The better name by stored name, of the options that a job of type ``conf`` has."""
    return {old: better for old, better in BETTER.items() if _has(conf, old)}


def better_value(key: str, value: str) -> str:
    """The word that users read for a stored value of the option ``key``."""
    return BETTER_VALUES.get(key, {}).get(value, value)


def as_stored(conf: type, overrides: Sequence[str]) -> list[str]:
    """The same overrides of a job of type ``conf`` under their stored names; a line for each older name that is used.

    Raises UserError where one option is given under both names.
    """
    known = better_names(conf)
    given = {_key(override) for override in overrides}
    for old, better in known.items():
        if {old, better} <= given:
            raise _both(better, old)
        if old in given:
            _log.info("option    %s is called %s now; both are understood", old, better)
    values = {key: words for key, words in BETTER_VALUES.items() if _has(conf, key)}
    return [_stored(override, known, values) for override in overrides]


def file_as_stored(kinds: Iterable[type], where: tuple[str, ...], content: Any) -> None:
    """Rename what a YAML file holds under better names, in place; ``where`` is the file's place in the configuration.

    A better name that is an option of its own in another job of ``kinds`` is left as it is. Raises UserError where one
    option is given under both names.
    """
    kinds = tuple(kinds)
    for old, better in BETTER.items():
        owner = _owner(content, where, old)
        key, name = old.rpartition(".")[2], better.rpartition(".")[2]
        if owner is None or name not in owner or not _any_has(kinds, old) or _any_has(kinds, better):
            continue
        if key in owner:
            raise _both(better, old)
        owner[key] = owner.pop(name)
    for place, words in BETTER_VALUES.items():
        owner = _owner(content, where, place)
        key = place.rpartition(".")[2]
        if owner is not None and key in owner and _any_has(kinds, place):
            owner[key] = {new: old for old, new in words.items()}.get(owner[key], owner[key])


def _both(better: str, old: str) -> UserError:
    return UserError(f"{better} and {old} are one option and both are given; expected {better} only")


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _stored(override: str, better: dict[str, str], values: dict[str, dict[str, str]]) -> str:
    """One override under its stored name, with stored words in its value and stored keys in a mapping."""
    left, equals, value = override.partition("=")
    key = _key(override)
    stored = {new: old for old, new in better.items()}
    if key in values:
        value = re.sub(r"\w+", _word(key, values[key]), value)
    if value.startswith("{"):
        for new, old in stored.items():
            group, _, name = new.rpartition(".")
            if group == key:
                value = re.sub(rf"(?<=[{{,\s]){name}(?=\s*:)", old.rpartition(".")[2], value)
    return f"{left.removesuffix(key)}{stored.get(key, key)}{equals}{value}"


def _word(key: str, better: dict[str, str]) -> Callable[[re.Match[str]], str]:
    """Replace a better word of the option ``key`` by the stored one, with a line for a stored one that was given."""
    stored = {new: old for old, new in better.items()}

    def replaced(found: re.Match[str]) -> str:
        word = found[0]
        if word in better:
            _log.info("option    %s=%s is called %s=%s now; both are understood", key, word, key, better[word])
        return stored.get(word, word)

    return replaced


def _owner(content: Any, where: tuple[str, ...], key: str) -> MutableMapping[Any, Any] | None:
    """The mapping in a file at ``where`` that would hold the option ``key``, if there is one."""
    *groups, _ = key.split(".")
    if tuple(groups[: len(where)]) != where:
        return None
    for group in groups[len(where) :]:
        content = content.get(group) if isinstance(content, MutableMapping) else None
    return content if isinstance(content, MutableMapping) else None


def _any_has(kinds: Iterable[type], key: str) -> bool:
    return any(_has(kind, key) for kind in kinds)


def _has(conf: type, key: str) -> bool:
    """Whether the dataclass has an option at the dotted ``key``."""
    for name in key.split("."):
        hints = get_type_hints(conf) if is_dataclass(conf) else {}
        if name not in hints:
            return False
        conf = hints[name]
    return True
