"""``JOB --help``: examples, the groups with what each choice is for, and every option with its value in a line."""

from __future__ import annotations

import dataclasses
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args, get_origin, get_type_hints

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from distill.config.aliases import better_names, better_value
from distill.config.build import spell
from distill.config.field_docs import field_doc, group_in, summary
from distill.config.jobs import JOBS
from distill.config.signatures import signature
from distill.errors import UserError

TARGET = "_target_"
_WIDTHS = (80, 140)
"""Narrowest and widest terminal that lines are wrapped for."""
_WIDEST = 44
"""Columns of ``key=value``; the explanation of a longer one begins behind it."""
_COMMENT = re.compile(r"#(?!\s*@package)\s?(.*)")


def job_help(name: str, cfg: DictConfig) -> str:
    """The page of a job whose configuration Hydra has composed, overrides and further folders included."""
    job = JOBS[name]
    choices = {
        group: choice for group, choice in sorted(HydraConfig.get().runtime.choices.items()) if "hydra/" not in group
    }
    plain = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=False, enum_to_str=True))
    options = list(_better_named(_options(job.conf, plain, ""), better_names(job.conf)))
    groups = ["", "groups, GROUP=CHOICE; * is chosen:", *_groups(choices, _folders())] if choices else []
    return "\n".join(
        [
            f"usage: python -m distill {name} [group=choice ...] [key=value ...] [-m]",
            "",
            f"{name}: {job.does}",
            "",
            "examples:",
            *(f"  python -m distill {name} {example}" for example in job.examples),
            *groups,
            "",
            "options, KEY=VALUE; ??? has to be given:",
            *_aligned(options),
            "",
            "--cfg job prints the configuration as YAML, -m sweeps over a,b,c, -cd DIR adds a folder of choices.",
        ]
    )


def _folders() -> list[Path]:
    """Where Hydra looks for the files of groups."""
    loader = GlobalHydra.instance().config_loader()
    return [Path(source.path) for source in loader.get_sources() if source.scheme() == "file"]


def _groups(choices: Mapping[str, str | None], folders: Sequence[Path]) -> Iterator[str]:
    for group, chosen in choices.items():
        folder = group.partition("@")[0]
        files = {file.stem: file for root in reversed(folders) for file in sorted((root / folder).glob("*.yaml"))}
        width = max(map(len, files), default=0)
        yield f"  {group}"
        for choice in sorted(files):
            yield from _row(f"  {'*' if choice == chosen else ' '} {choice}", comment(files[choice]), width + 6)


def comment(file: Path) -> str:
    """What a file of a group is for: the first sentence of the comment that it begins with."""
    lines: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        found = _COMMENT.fullmatch(line)
        if found is not None:
            lines.append(found[1].strip())
        elif not line.startswith("#"):
            break
    return re.split(r"(?<=\.) (?=[A-Z])", " ".join(lines), maxsplit=1)[0]


def _options(kind: type, values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """(key=value, explanation) of everything below one dataclass, in the order of its fields."""
    hints = get_type_hints(kind)
    for one in dataclasses.fields(kind):
        key, value, doc = prefix + one.name, values.get(one.name), field_doc(kind, one.name)
        inner = group_in(hints[one.name])
        if inner is not None and isinstance(value, Mapping):
            yield key, doc
            yield from _group(inner, hints[one.name], value, key)
        elif isinstance(value, Mapping) and TARGET in value:
            yield key, doc
            yield from _target(value, key)
        else:
            yield f"{key}={_text(value)}", doc


def _better_named(options: Iterator[tuple[str, str]], better: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The same options under their better names and values, each with its older name behind the explanation."""
    for option, doc in options:
        key, equals, value = option.partition("=")
        older = f" Older name: {key}." if key in better else ""
        yield f"{better.get(key, key)}{equals}{better_value(key, value)}", f"{doc}{older}"


def _group(inner: type, annotation: Any, value: Mapping[str, Any], key: str) -> Iterator[tuple[str, str]]:
    """The options of a group, or of each of several by name."""
    if any(get_origin(kind) is dict for kind in (annotation, *get_args(annotation))):
        for name, one in value.items():
            yield from _options(inner, one, f"{key}.{name}.")
    else:
        yield from _options(inner, value, f"{key}.")


def _target(node: Mapping[str, Any], key: str) -> Iterator[tuple[str, str]]:
    """A class and its options as they are set; each with the type that its constructor takes."""
    path = str(node[TARGET])
    try:
        found = signature(path, key)
    except UserError as error:
        yield f"{key}.{TARGET}={path}", str(error)
        return
    yield f"{key}.{TARGET}={path}", summary(found.summary) or "The class that is built."
    for name, value in node.items():
        if isinstance(value, Mapping) and TARGET in value:
            yield from _target(value, f"{key}.{name}")
        elif name != TARGET and name in found.parameters:
            yield (
                f"{key}.{name}={_text(value)}",
                f"of {path.rpartition('.')[2]}: {_kind(found.parameters[name].annotation)}",
            )


def _kind(annotation: Any) -> str:
    return "any value" if annotation is Any else spell(annotation)


def _text(value: Any) -> str:
    """A value as it would be given on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        scalars = all(not isinstance(item, Mapping) for item in value)
        return f"[{','.join(map(_text, value))}]" if scalars else f"[{len(value)} entries]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_text(item)}" for key, item in value.items()) + "}"
    return str(value)


def _aligned(options: Sequence[tuple[str, str]]) -> Iterator[str]:
    width = min(max(len(option) for option, _ in options), _WIDEST)
    for option, doc in options:
        yield from _row(f"  {option}", doc, width + 4)


def _row(left: str, right: str, column: int) -> Iterator[str]:
    """``right`` beside ``left``, from ``column`` on: wrapped in a terminal, one line in a pipe, for grep."""
    line = f"{left:{column - 2}}  {right}".rstrip()
    if not sys.stdout.isatty():
        yield line
        return
    width = min(max(shutil.get_terminal_size().columns, _WIDTHS[0]), _WIDTHS[1])
    yield from textwrap.wrap(
        line,
        width,
        subsequent_indent=" " * column,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    )
