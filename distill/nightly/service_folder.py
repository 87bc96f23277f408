"""The folder of the service: its nights, which are numbered, and which of them is to be worked on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distill.config.service_jobs import SigningConf
from distill.nightly.records import DamagedRecord, Record, read_record
from distill.registry.registry import Registry
from distill.registry.signing import read_signing

NIGHTS, SIGNALS, REGISTRY = "nights", "signals", "registry"


@dataclass(frozen=True)
class Night:
    """Folders of one night; its number counts up from 1 and is no date, because clocks jump."""

    root: Path
    number: int

    @property
    def name(self) -> str:
        return f"{self.number:04d}"

    @property
    def folder(self) -> Path:
        return self.root / NIGHTS / self.name

    @property
    def finished(self) -> bool:
        """Whether it has been decided what becomes of its student; only its report may be missing."""
        return self.record("promote") is not None

    def record(self, stage: str) -> Record | None:
        """The record of a stage; None where it is missing or damaged."""
        try:
            return read_record(self.folder, stage)
        except DamagedRecord:
            return None

    def after(self) -> Night:
        return Night(self.root, self.number + 1)


def nights(root: Path) -> list[Night]:
    """All nights, the first one first."""
    return sorted(_found(root), key=lambda night: night.number)


def last_finished(root: Path) -> Night | None:
    """The latest night with a verdict."""
    return next((night for night in reversed(nights(root)) if night.finished), None)


def unfinished(root: Path) -> Night | None:
    """The latest night, if it has no verdict yet."""
    found = nights(root)
    return found[-1] if found and not found[-1].finished else None


def _found(root: Path) -> Iterator[Night]:
    folder = root / NIGHTS
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name.isdecimal() and path.is_dir():
            yield Night(root, int(path.name))


def open_registry(root: Path, signing: SigningConf) -> Registry:
    """The registry of the service at ``root``, with the keys of the configuration."""
    keys = read_signing(Path(signing.key) if signing.key else None, [Path(path) for path in signing.trusted])
    return Registry(root / REGISTRY, keys)
