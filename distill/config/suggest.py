"""Turns a configuration error into one line that names the nearest valid group, choice, key or value."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import yaml
from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from distill.config.aliases import better_names, better_value

MAX_LISTED = 12
"""As many valid names are listed where none is near."""


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """The valid name most like ``word``, if one is like it at all."""
    near = difflib.get_close_matches(word, sorted(valid), n=1, cutoff=0.6)
    return near[0] if near else None


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """The end of a sentence about ``word``: its nearest valid neighbour, or what there is."""
    names = sorted(valid)
    near = nearest(word, names)
    if near:
        return f"; did you mean {near!r}?"
    return f"; expected one of {', '.join(names)}" if 0 < len(names) <= MAX_LISTED else ""


def explain(error: BaseException, conf: type) -> str:
    """One line for an error of Hydra, OmegaConf or YAML met while composing a job of type ``conf``."""
    chain = list(_chain(error))
    for kind, reader in _READERS:
        for cause in chain:
            if isinstance(cause, kind):
                return _in_file(error) + reader(cause, conf)
    return _one_line(str(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _in_file(error: BaseException) -> str:
    """Which file of a group the error stands in, an experiment above all; nothing for a job's root file."""
    place = re.match(r"In '([^']*/[^']*)'", str(error))
    return f"{place[1]}.yaml: " if place else ""


def _missing_choice(error: MissingConfigException, conf: type) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    if error.options:
        return f"there is no {group} {choice!r}{did_you_mean(choice, error.options)}"
    if group and group not in _fields(conf):
        return f"there is no group {group!r}{did_you_mean(group, _fields(conf))}"
    return f"there is no {group or 'file'} {choice!r}"


def _unreadable(error: OverrideParseException, _: type) -> str:
    if "=" not in error.override:
        return f"cannot read {error.override!r}; expected key=value"
    return f"cannot read {error.override!r}; expected one value, or several in brackets, [a,b]"


def _unknown_key(error: ConfigKeyError | ConfigAttributeError, conf: type) -> str:
    key = str(error.key)
    if key == "experiment":
        return "an experiment file starts with the line '# @package _global_'"
    where = str(error.full_key).removesuffix(key).rstrip(".")
    if not where:
        return _unknown_path(key, conf)
    parent = error.parent_node
    better = better_names(conf)
    stored = [f"{where}.{k}" for k in parent] if isinstance(parent, DictConfig) else []
    siblings = [better.get(name, name).rpartition(".")[2] for name in stored]
    return f"{where} has no option {key!r}{did_you_mean(key, siblings)}"


def _unknown_path(path: str, conf: type) -> str:
    """An unknown name at the root: a neighbour there, or an option of that name further down."""
    fields = _fields(conf)
    deeper = {p.rpartition(".")[2]: p for p in _paths(conf) if "." in p}
    if path not in fields and nearest(path, fields) is None:
        hit = nearest(path.rpartition(".")[2], deeper)
        if hit:
            return f"there is no option {path!r}; did you mean {deeper[hit]!r}?"
    return f"there is no option {path!r}{did_you_mean(path, fields)}"


def _wrong_value(error: OmegaConfBaseException, _: type) -> str:
    line = (f"{error.full_key}: " if error.full_key else "") + _first_line(str(error))
    if "is not a subclass of" in line:  # OmegaConf makes no typed entry of a mapping from an override
        return (
            f"{error.full_key}: a new entry cannot come from the command line; put it into a file, e.g. an experiment"
        )
    choices = re.search(r"expected one of \[(.*)\]", line)
    if not choices:
        return line
    words = [better_value(str(error.full_key), word) for word in choices[1].split(", ")]
    near = nearest(str(getattr(error, "value", "")), words)
    return line.replace(choices[1], ", ".join(words)) + (f"; did you mean {near!r}?" if near else "")


def _bad_yaml(error: yaml.MarkedYAMLError, _: type) -> str:
    mark = error.problem_mark
    return (f"{mark.name}, line {mark.line + 1}: " if mark else "") + _one_line(error.problem or str(error))


def _bad_composition(error: ConfigCompositionException, conf: type) -> str:
    text = str(error)
    if text.startswith("Ambiguous value"):
        return f"{_first_line(text)}; to run one job for each value add -m"
    unmatched = re.search(r"Could not (?:override|delete from config\.) '([^']+)'", text)
    return _unknown_path(unmatched[1], conf) if unmatched else _one_line(text)


def _fields(conf: type) -> list[str]:
    better = better_names(conf)
    return [better.get(f.name, f.name) for f in dataclasses.fields(conf)]


def _paths(conf: type) -> Iterator[str]:
    """All dotted names of a job's options, the better one where there are two."""
    better = better_names(conf)
    return (better.get(path, path) for path in _stored_paths(conf))


def _stored_paths(conf: type, prefix: str = "") -> Iterator[str]:
    """All dotted names of a tree of dataclasses."""
    for field in dataclasses.fields(conf):
        yield prefix + field.name
        inner = field.default_factory
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            yield from _stored_paths(inner, f"{prefix}{field.name}.")


def _first_line(text: str) -> str:
    """OmegaConf and Hydra add context in further lines."""
    return next(line.strip() for line in text.splitlines() if line.strip())


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


_READERS: tuple[tuple[type[BaseException], Callable[[Any, type], str]], ...] = (
    (MissingConfigException, _missing_choice),
    (OverrideParseException, _unreadable),
    (ConfigKeyError, _unknown_key),
    (ConfigAttributeError, _unknown_key),
    (OmegaConfBaseException, _wrong_value),
    (yaml.MarkedYAMLError, _bad_yaml),
    (ConfigCompositionException, _bad_composition),
)
"""Whichever stands first and occurs in an error's chain of causes knows most about it."""
