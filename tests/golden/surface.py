"""What users see before anything runs: jobs, Make targets, options with their defaults, exit statuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from distill import cli
from distill.config.compose import JOBS, conf_dir, register
from distill.nightly.service import Outcome

MISSING = "???"


def declared(repository: Path) -> str:
    """The whole surface as text, a line for each thing."""
    sections = {
        "jobs": [f"{name}: {job.does}" for name, job in JOBS.items()],
        "make targets": _targets(repository / "Makefile"),
        "exit statuses": _statuses(),
        "options": list(_options()),
        "choices": list(_choices()),
    }
    return "".join(f"# {title}\n" + "".join(f"{line}\n" for line in lines) for title, lines in sections.items())


def _targets(makefile: Path) -> list[str]:
    return sorted(re.findall(r"^([a-z-]+):.*## ", makefile.read_text(), re.MULTILINE))


def _statuses() -> list[str]:
    return [
        "0 done",
        f"{cli.USER_ERROR} user error",
        f"{cli.INTERRUPTED} interrupted",
        f"{cli.OUTPUT_CLOSED} output closed",
        *(f"{outcome.status} night: {outcome.name.lower()}" for outcome in Outcome),
    ]


def _options() -> Iterator[str]:
    """``JOB KEY = DEFAULT`` for every option of every job as its root file composes it."""
    for job in JOBS:
        for key, value in _composed(job).items():
            yield f"{job} {key} = {value}"


def _choices() -> Iterator[str]:
    """What each choice of a group changes in the options of the main job, or of teaching for those made for it."""
    for group in sorted(path for path in conf_dir().iterdir() if path.is_dir()):
        for choice in sorted(path.stem for path in group.glob("*.yaml")):
            job = "teach" if choice.startswith("teach_") else "distill"
            plain, chosen = _composed(job), _composed(job, f"{group.name}={choice}")
            for key in sorted(plain.keys() | chosen.keys()):
                if plain.get(key) != chosen.get(key):
                    yield f"{group.name}={choice} {key} = {chosen.get(key, '(gone)')}"


@cache
def _composed(job: str, *overrides: str) -> dict[str, str]:
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        tree = OmegaConf.to_container(compose(job, list(overrides)), resolve=False)
    return dict(_flat(tree))


def _flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, str(tree.value if isinstance(tree, Enum) else tree)
