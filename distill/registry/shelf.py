"""The folder of versions: each comes in one rename, goes in one, and keeps its name for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.files.atomic import replacing
from distill.files.durable import PARTIAL, copy_synced, discard, placed, sync_folder, write_synced
from distill.registry.signing import Signing
from distill.registry.version import RECORD, SIGNATURE, Version, read_version, record_of, version_name, version_number

VERSIONS = "versions"

_PRUNED = ".pruned"


class Shelf:
    """The versions of the registry at ``root``. Whoever changes them holds the registry's lock."""

    def __init__(self, root: Path, signing: Signing | None = None) -> None:
        self.folder, self._signing = root / VERSIONS, signing
        self._pruned = self.folder / _PRUNED

    def versions(self) -> list[Version]:
        """All that have a record that can be read, oldest first."""
        return list(self._readable(self.folder))

    def strangers(self) -> list[str]:
        """Names of what stands here and is no version."""
        known = {version.name for version in self.versions()}
        return [name for name in _names(self.folder) if name not in known and not name.startswith(".")]

    def version(self, name: str) -> Version:
        """One version; UserError where there is none of this name, or none that can be read."""
        if version_number(name) is None or not (self.folder / name).is_dir():
            known = ", ".join(version.name for version in self.versions()) or "none, the registry is empty"
            raise UserError(f"{self.folder} has no version {name!r}; expected one of: {known}")
        return read_version(self.folder / name, self._signing)

    def undamaged(self, identity: str) -> Version | None:
        """The newest version of this identity all bytes of which are right."""
        for version in reversed(self.versions()):
            if version.identity == identity:
                with suppress(UserError):  # a damaged one is no reason not to add it again
                    return version.verified()
        return None

    def prepare(self) -> None:
        """Make what is fixed, and remove what a crash left half made."""
        if not self._pruned.is_dir():
            self._pruned.mkdir(parents=True)
            for made in (self.folder, self.folder.parent, self.folder.parent.parent):
                sync_folder(made)
        discard(self.folder / PARTIAL)

    def place(self, number: int, added_at: str, files: Mapping[str, Path], facts: Mapping[str, Any]) -> Version:
        """Copies of the files as version ``number``, signed where versions are."""
        name = version_name(number)
        with placed(self.folder / name) as folder:
            digests = {file: copy_synced(source, folder / file) for file, source in files.items()}
            record = record_of(name, added_at, digests, facts)
            write_synced(folder / RECORD, record)
            if self._signing is not None:
                write_synced(folder / SIGNATURE, self._signing.sign(record))
        return self.version(name)

    def last_number(self) -> int:
        """The highest number that anything here has, 0 where there is nothing."""
        names = [*_names(self.folder), *_names(self._pruned)]
        return max((number for number in map(version_number, names) if number is not None), default=0)

    def sign(self, signing: Signing) -> list[str]:
        """Sign the versions that have no signature and whose files match their records; their names."""
        bare = [version for version in self.versions() if not (version.folder / SIGNATURE).exists()]
        partial = self.folder / f"{PARTIAL}-{SIGNATURE}"
        for version in bare:
            with replacing(version.folder / SIGNATURE, partial) as file:
                file.write(signing.sign(version.verified().record))
        return [version.name for version in bare]

    def take_away(self, names: Sequence[str]) -> None:
        """Remove versions as far as the rename, which needs no space; ``empty_pruned`` does the rest."""
        for name in names:
            os.rename(self.folder / name, self._pruned / name)
        sync_folder(self._pruned)
        sync_folder(self.folder)

    def pruned(self) -> tuple[list[str], list[Version]]:
        """Names of the versions that were taken away and not yet forgotten, and those of them with a record."""
        return [name for name in _names(self._pruned) if version_number(name)], list(self._readable(self._pruned))

    def empty_pruned(self) -> None:
        """Free the space of versions that were taken away; their records are kept until they are forgotten."""
        for name in self.pruned()[0]:
            for path in (self._pruned / name).iterdir():
                if path.name != RECORD:
                    path.unlink()

    def forget_pruned(self) -> None:
        for name in self.pruned()[0]:
            discard(self._pruned / name)

    def _readable(self, folder: Path) -> Iterator[Version]:
        numbered = sorted((number, name) for name in _names(folder) if (number := version_number(name)) is not None)
        for _, name in numbered:
            with suppress(UserError):
                yield read_version(folder / name, self._signing)


def _names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.is_dir() else []
