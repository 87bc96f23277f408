"""What a process hands to the disk, in order: files and folders that it synchronises, and renames."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pytest


class Step(NamedTuple):
    """``contents`` are what the system had of a file when it was synchronised: a buffer's are not among them."""

    kind: str
    path: Path
    contents: bytes | None = None
    source: Path | None = None


class DiskSteps:
    """Watches ``os.fsync``, ``os.replace`` and ``os.rename`` for the time of a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.all: list[Step] = []
        fsync = os.fsync

        def synchronise(descriptor: int) -> None:
            fsync(descriptor)
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            self.all.append(Step("sync", path, None if path.is_dir() else path.read_bytes()))

        monkeypatch.setattr(os, "fsync", synchronise)
        for name in ("replace", "rename"):
            monkeypatch.setattr(os, name, self._renaming(getattr(os, name)))

    def _renaming(self, rename):
        def renaming(source: Path, target: Path) -> None:
            rename(source, target)
            self.all.append(Step("rename", Path(target), source=Path(source)))

        return renaming

    def require_contents_before_name(self, path: Path) -> int:
        """Whether all of a file was on the disk before it had its name; which step gave it that."""
        at = max(k for k, step in enumerate(self.all) if step.kind == "rename" and step.path == path)
        wanted = Step("sync", self.all[at].source or path, path.read_bytes())
        assert wanted in self.all[:at], f"{path} has its name before its contents are on the disk"
        return at

    def require_name(self, path: Path, after: int) -> None:
        """Whether the folder of a new name is synchronised behind step ``after``."""
        assert Step("sync", path.parent) in self.all[after + 1 :], f"the name {path} may be lost"
