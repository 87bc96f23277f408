"""``make registry``: the versions of a service, each checked to the last byte, and what happened last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill.config.service_jobs import RegistryConf
from distill.errors import UserError
from distill.nightly.service_folder import open_registry
from distill.registry.history import Event
from distill.registry.pointers import CHAMPION, PREVIOUS
from distill.registry.policy import Policy
from distill.registry.registry import Registry
from distill.registry.version import Version
from distill.report.terminal import print_figures

_FACTS = ("night", "images", "from")
"""What the table shows of what a night says of its version; ``version.json`` has all."""
_COLUMNS = ("version", "service", "files", "MB", "added", *_FACTS)


def run(conf: RegistryConf) -> int:
    """Sign and prune where that is asked for, then show; 1 where champion or previous version is damaged."""
    _check(conf)
    registry = open_registry(Path(conf.root), conf.signing)
    if not registry.root.is_dir():
        raise UserError(f"{registry.root} does not exist; expected a registry, which the first night makes in its root")
    if conf.sign:
        print(f"signed    {_listed(registry.sign())}")
    if conf.prune:
        print(f"pruned    {_listed(registry.prune(Policy(conf.newest, conf.champions)))}")
    sound = _show(registry)
    for event in registry.history()[-conf.events :] if conf.events else []:
        print(told(event))
    return 0 if sound else 1


def told(event: Event) -> str:
    """An event in a line."""
    after = f" after {event.before}" if event.before else ""
    why = f": {_plain(event.why)}" if event.why else ""
    return f"{event.at}  {event.kind:8}  {event.version}{after}{why}"


def _plain(facts: Mapping[str, Any]) -> str:
    """Those of the facts that are words or numbers, in a line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items() if isinstance(value, str | int | float))


def _check(conf: RegistryConf) -> None:
    if conf.events < 0:
        raise UserError(f"events is {conf.events}; expected 0 or more")
    if conf.sign and conf.signing.key is None:
        raise UserError("signing.key is missing; expected the private key that sign=true signs with")


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _show(registry: Registry) -> bool:
    """Print the table and what is wrong; whether everything that a consumer may read is whole."""
    pointed = {CHAMPION: registry.champion(), PREVIOUS: registry.previous()}
    service = {version.name: which for which, version in pointed.items() if version is not None}
    service |= {name: f"{service.get(name, '')} withdrawn".strip() for name in registry.withdrawn()}
    wrong = {version.name: found for version in registry.versions() if (found := _wrong(version)) is not None}
    print_figures(_COLUMNS, [_row(v, service.get(v.name, "-"), v.name in wrong) for v in registry.versions()])
    for line in [*wrong.values(), *(f"{name}: is no version" for name in registry.strangers())]:
        print(f"note      {line}")
    return not any(version is not None and version.name in wrong for version in pointed.values())


def _wrong(version: Version) -> str | None:
    try:
        version.verified()
    except UserError as error:
        return str(error)
    return None


def _row(version: Version, service: str, damaged: bool) -> tuple[str, ...]:
    size = f"{version.size_bytes() / 1e6:.1f}"
    files = "DAMAGED" if damaged else "whole"
    facts = [_cell(version.facts.get(name)) for name in _FACTS]
    return version.name, service, files, size, version.added_at[:10], *facts


def _cell(fact: Any) -> str:
    return "-" if fact is None else f"{fact:,}" if isinstance(fact, int) else str(fact)
