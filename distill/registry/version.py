"""A version: a folder of files with a record of what they are, never changed once it has its name."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.files.hashing import sha256
from distill.files.json_file import from_plain, read_plain
from distill.registry.signing import Signing

FORMAT = 1
RECORD, SIGNATURE = "version.json", "version.json.sig"

_NAME = re.compile(r"v(\d{4,})")
_PLAIN = re.compile(r"[A-Za-z0-9][\w.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class _Record:
    """``version.json``."""

    format: int
    name: str
    added_at: str
    facts: Mapping[str, Any]
    files: Mapping[str, Any]


def version_name(number: int) -> str:
    return f"v{number:04d}"


def version_number(name: str) -> int | None:
    """The number in a version's name; None for anything else."""
    found = _NAME.fullmatch(name)
    return None if found is None else int(found[1])


def plain_name(name: str) -> bool:
    """Whether a file of this name lies in the version's own folder and is not one that the registry writes."""
    return _PLAIN.fullmatch(name) is not None and name not in (RECORD, SIGNATURE)


def identity(files: Mapping[str, str], facts: Mapping[str, Any]) -> str:
    """Hex sha256 of what a version is, whatever its name and whenever it was added."""
    return hashlib.sha256(json.dumps([files, facts], sort_keys=True).encode()).hexdigest()


def record_of(name: str, added_at: str, files: Mapping[str, str], facts: Mapping[str, Any]) -> bytes:
    """The bytes of a version's record."""
    content = {"format": FORMAT, "name": name, "added_at": added_at, "files": files, "facts": facts}
    return (json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


@dataclass(frozen=True)
class Version:
    """The record in ``folder``: hex sha256 of each file by name, and facts that came with them.

    ``signing`` holds the keys that ``verified`` accepts; None: no signature is required.
    """

    folder: Path
    added_at: str
    files: Mapping[str, str]
    facts: Mapping[str, Any]
    record: bytes = field(repr=False)
    signing: Signing | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def identity(self) -> str:
        return identity(self.files, self.facts)

    def file(self, name: str) -> Path:
        """The path of one of its files; UserError where it has none of this name."""
        if name not in self.files:
            raise UserError(f"{self.folder} has no {name}; expected one of {', '.join(sorted(self.files))}")
        return self.folder / name

    def verified(self) -> Version:
        """The same version, every byte of which is what was added; UserError names the first file that is not."""
        if self.signing is not None:
            self.signing.require(self.record, self.folder / SIGNATURE)
        if strange := self.strangers():
            raise UserError(
                f"{self.folder / strange[0]}: is no file of this version; expected only what was added there"
            )
        for name, expected in self.files.items():
            _require_contents(self.folder / name, expected)
        return self

    def strangers(self) -> list[str]:
        """Names in the folder that the record does not have, and links or folders under a name that it has."""
        with os.scandir(self.folder) as entries:
            own = {RECORD, SIGNATURE, *self.files}
            return sorted(e.name for e in entries if e.name not in own or not e.is_file(follow_symlinks=False))

    def size_bytes(self) -> int:
        """Of its files as far as they are there, without record and signature."""
        return sum(path.stat().st_size for path in map(self.folder.joinpath, self.files) if path.is_file())


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file; UserError where it cannot be read."""
    try:
        return sha256(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; expected a file that can be read") from error


def _require_contents(path: Path, expected: str) -> None:
    if (found := file_sha256(path)) != expected:
        raise UserError(f"{path}: has sha256 {found}; expected {expected}: it is not what was added")


def read_version(folder: Path, signing: Signing | None = None) -> Version:
    """The version in a folder, its files not yet verified; UserError where it has no record that can be read."""
    path = folder / RECORD
    if folder.is_symlink():
        raise UserError(f"{folder}: is a link; expected the folder of a version")
    try:
        record = path.read_bytes()
        raw = read_plain(path, "the record of a version")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; expected the record of a version") from error
    found = _checked(from_plain(_Record, raw, path, "what this project wrote"), path)
    return Version(folder, found.added_at, found.files, found.facts, record, signing)


def _checked(found: _Record, path: Path) -> _Record:
    if found.format != FORMAT:
        raise UserError(f"{path}: format is {found.format}; expected {FORMAT}")
    if found.name != path.parent.name:
        raise UserError(f"{path}: is the record of {found.name!r}; expected that of {path.parent.name}")
    for name, digest in found.files.items():
        if not plain_name(name) or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise UserError(f"{path}: has the file {name!r} with {digest!r}; expected a plain name and a sha256")
    return found
