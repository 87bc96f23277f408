"""W&B's environment variables: which option each one stands for, and which values can be used.

The list is that of ``wandb.env`` and ``wandb.Settings``, wandb 0.31. An option that is given in the command wins over
its variable, and a variable over the configuration files. No value under a secret's name is ever repeated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from distill.errors import UserError
from distill.redact import HIDDEN, is_secret
from distill.tracking.wandb_settings import RESUMES

MODE, DISABLED = "WANDB_MODE", "WANDB_DISABLED"
MODES = {"online": "online", "run": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled"}
OPTIONS = {
    "WANDB_PROJECT": "project",
    "WANDB_ENTITY": "entity",
    "WANDB_RUN_GROUP": "group",
    "WANDB_NAME": "name",
    "WANDB_TAGS": "tags",
    "WANDB_NOTES": "notes",
    "WANDB_JOB_TYPE": "job_type",
    "WANDB_DIR": "dir",
    "WANDB_RUN_ID": "id",
    "WANDB_RESUME": "resume",
}
"""The options of ``tracking`` that variables stand for, besides its mode."""
OF_ONE_RUN = ("WANDB_NAME", "WANDB_RUN_GROUP", "WANDB_RUN_ID", "WANDB_RESUME", "WANDB_JOB_TYPE")
"""What a service with many runs names itself."""
BY_WANDB = ("WANDB_BASE_URL", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_CREDENTIALS_FILE")
BY_WANDB += ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_ARTIFACT_DIR", "WANDB_INSECURE_DISABLE_SSL")
"""Obeyed by W&B itself."""
QUIET = ("WANDB_SILENT", "WANDB_QUIET", "WANDB_DISABLE_GIT", "WANDB_DISABLE_CODE")
"""What is so in any case where they are true."""
REFUSED = ("WANDB_SAVE_CODE", "WANDB_CONSOLE", "WANDB_DATA_DIR", "WANDB_INIT_TIMEOUT", "WANDB_HTTP_TIMEOUT")
"""What this project decides itself (docs/tracking.md)."""
_TRUE, _FALSE = ("1", "true", "t", "yes", "y", "on"), ("0", "false", "f", "no", "n", "off")
_IN_PROJECT, _IN_ID = r"/\#?%:", ":;,#?/'"


@dataclass(frozen=True)
class Variables:
    """Variables of the environment: options of ``tracking`` by name, and a line that reports it ("" for nothing)."""

    options: Mapping[str, str | list[str]]
    report: str


def read_variables(environment: Mapping[str, str], given: Collection[str] = (), service: bool = False) -> Variables:
    """What W&B's variables mean beside the options of ``tracking`` that are ``given`` in the command.

    A ``service`` has many runs and names them itself. Raises UserError for a value that cannot be used, and for two
    that contradict each other.
    """
    found = {name: value for name, value in environment.items() if name.startswith("WANDB_") and value}
    for name, value in found.items():
        _require(name, value)
    wanted = _options(found)
    unused = [name for name in found if name in REFUSED or (service and name in OF_ONE_RUN)]
    beaten = [name for name in wanted if wanted[name][0] in given]
    obeyed = {option: value for name, (option, value) in wanted.items() if name not in (*unused, *beaten)}
    known = [name for name in found if name in (*wanted, MODE, DISABLED, *BY_WANDB, *QUIET)]
    lines = [f"{name}={_shown(name, found[name])}" for name in known if name not in (*unused, *beaten)]
    lines += [f"{name}={found[name]} does not count: the command gives tracking.{wanted[name][0]}" for name in beaten]
    lines += [f"{name} is not used here (docs/tracking.md)" for name in unused]
    return Variables(obeyed, "; ".join(lines))


def _options(found: Mapping[str, str]) -> dict[str, tuple[str, str | list[str]]]:
    """By variable: the option that it sets, and its value."""
    wanted: dict[str, tuple[str, str | list[str]]] = {}
    for name, option in OPTIONS.items():
        if name in found:
            wanted[name] = option, _tags(found[name]) if option == "tags" else found[name]
    off = found.get(DISABLED, "").lower() in _TRUE
    if MODE in found:
        wanted[MODE] = "mode", MODES[found[MODE].lower()]
    if off and wanted.get(MODE, ("", "disabled"))[1] != "disabled":
        raise UserError(f"{DISABLED}={found[DISABLED]} contradicts {MODE}={found[MODE]}; expected one of them, or none")
    return wanted | ({DISABLED: ("mode", "disabled")} if off else {})


def _tags(value: str) -> list[str]:
    return [tag.strip() for tag in value.split(",")]


def _shown(name: str, value: str) -> str:
    return HIDDEN if is_secret(name) else value


def _require(name: str, value: str) -> None:
    """``UserError`` for a value that W&B would refuse in the middle of a run, or take for something else."""
    if (rule := _RULES.get(name)) is not None and not rule[0](value):
        raise UserError(f"{name} is {_shown(name, value)!r}; expected {rule[1]}")


def _is_address(value: str) -> bool:
    try:
        address = urlsplit(value)
        return address.scheme in ("http", "https") and bool(address.hostname) and address.username is None
    except ValueError:
        return False


Rule = tuple[Callable[[str], bool], str]
_BOOLEAN: Rule = (lambda value: value.lower() in (*_TRUE, *_FALSE), "true or false")
_RULES: dict[str, Rule] = {
    MODE: (lambda value: value.lower() in MODES, f"one of {', '.join(MODES)}"),
    "WANDB_RESUME": (lambda value: value in RESUMES, f"one of {', '.join(RESUMES)}"),
    "WANDB_PROJECT": (
        lambda value: len(value) <= 128 and not set(value) & set(_IN_PROJECT),
        f"at most 128 characters and none of {_IN_PROJECT}",
    ),
    "WANDB_ENTITY": (lambda value: re.fullmatch(r"[\w.-]+", value) is not None, "the name of a user or a team"),
    "WANDB_RUN_ID": (
        lambda value: value == value.strip() and not set(value) & set(_IN_ID),
        f"no blanks at its ends and none of {_IN_ID}",
    ),
    "WANDB_TAGS": (
        lambda value: all(1 <= len(tag) <= 64 for tag in _tags(value)),
        "tags of 1 to 64 characters with commas between them",
    ),
    "WANDB_DIR": (
        lambda value: not Path(value).expanduser().exists() or Path(value).expanduser().is_dir(),
        "a folder",
    ),
    "WANDB_BASE_URL": (_is_address, "an address like https://wandb.example.org, without a user in it"),
    **dict.fromkeys((DISABLED, *QUIET, "WANDB_SAVE_CODE", "WANDB_INSECURE_DISABLE_SSL"), _BOOLEAN),
}
