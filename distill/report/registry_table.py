"""The versions of a registry and its events, in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill.errors import UserError
from distill.registry.history import RegistryEvent
from distill.registry.pointers import CHAMPION, PREVIOUS
from distill.registry.registry import Registry
from distill.registry.version import Version
from distill.report.terminal import print_figures

_FACTS = ("night", "images", "from")
"""Facts of a version that the table shows; ``version.json`` has all."""
_COLUMNS = ("version", "service", "files", "MB", "added", *_FACTS)


def event_line(event: RegistryEvent) -> str:
    """An event in a line."""
    after = f" after {event.before}" if event.before else ""
    why = f": {_plain(event.why)}" if event.why else ""
    return f"{event.at}  {event.kind:8}  {event.version}{after}{why}"


def _plain(facts: Mapping[str, Any]) -> str:
    """Those of the facts that are words or numbers, in a line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items() if isinstance(value, str | int | float))


def print_versions(registry: Registry) -> bool:
    """Print the table and the errors; whether everything that a consumer may read is intact."""
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
    files = "DAMAGED" if damaged else "intact"
    facts = [_cell(version.facts.get(name)) for name in _FACTS]
    return version.name, service, files, size, version.added_at[:10], *facts


def _cell(fact: Any) -> str:
    return "-" if fact is None else f"{fact:,}" if isinstance(fact, int) else str(fact)
