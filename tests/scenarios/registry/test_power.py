"""The power goes at every step of every act: what was not synchronised is not there, and the champion is whole.

A disk is simulated from what the process hands to ``fsync``: a synchronised file keeps its contents of then, a
synchronised folder its names of then. Two disks are looked at: one that lost all names since, and one that has all
names already while contents lag behind, as where metadata is written first.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

import pytest

from reference.served_registry import ACTS, require_whole, snapshot
from scenarios.registry.steps import watch


class Entry(NamedTuple):
    """What a folder says of a name; a file system keeps where a link leads to beside the name."""

    inode: int
    link: str | None
    is_folder: bool


class Disk:
    """What of the folder ``root`` has reached the disk; at the start, all of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[int, bytes] = {}
        self._folders: dict[int, dict[str, Entry]] = {}
        self._held: dict[int, int] = {}
        for path in [root, *root.rglob("*")]:
            if not path.is_symlink():
                self._keep(path)

    def synchronise(self, descriptor: int) -> None:
        self._keep(Path(os.readlink(f"/proc/self/fd/{descriptor}")))

    def image(self, target: Path, newest_names: bool) -> Path:
        """The disk as the next start finds it."""
        self._restore(self.root.stat().st_ino, self.root, target, newest_names)
        return target

    def close(self) -> None:
        for descriptor in self._held.values():
            os.close(descriptor)

    def _keep(self, path: Path) -> None:
        status = path.stat()
        if status.st_ino not in self._held:  # held open, so that no other file gets its number
            self._held[status.st_ino] = os.open(path, os.O_PATH)
        if stat.S_ISDIR(status.st_mode):
            self._folders[status.st_ino] = _entries(path)
        else:
            self._files[status.st_ino] = path.read_bytes()

    def _restore(self, inode: int, now: Path, target: Path, newest_names: bool) -> None:
        """Make the folder ``inode`` at ``target``; ``now`` is where the running system has it."""
        target.mkdir()
        names = _entries(now) if newest_names else self._folders.get(inode, {})
        for name, entry in names.items():
            if entry.link is not None:
                (target / name).symlink_to(entry.link)
            elif entry.is_folder:
                self._restore(entry.inode, now / name, target / name, newest_names)
            else:
                (target / name).write_bytes(self._files.get(entry.inode, b""))


def _entries(folder: Path) -> dict[str, Entry]:
    with os.scandir(folder) as found:
        return {e.name: Entry(e.inode(), _leads_to(e), e.is_dir(follow_symlinks=False)) for e in found}


def _leads_to(entry: os.DirEntry[str]) -> str | None:
    return os.readlink(entry.path) if entry.is_symlink() else None


@pytest.mark.parametrize("act", ACTS)
def test_the_power_goes_before_every_step(root: Path, place: Path, monkeypatch: pytest.MonkeyPatch, act: str):
    disk, fsync, images = Disk(root), os.fsync, place / "images"
    images.mkdir()
    seen: list[Path] = []

    def synchronise(descriptor: int) -> None:
        fsync(descriptor)
        disk.synchronise(descriptor)

    def before_change(event: str, number: int) -> None:
        seen.extend(disk.image(images / f"{number}-{newest}", newest) for newest in (False, True))

    monkeypatch.setattr(os, "fsync", synchronise)
    with watch(root, before_change):
        ACTS[act](root)
    monkeypatch.undo()
    seen += [disk.image(images / f"end-{newest}", newest) for newest in (False, True)]
    disk.close()
    wanted = snapshot(root)
    assert snapshot(seen[-1]) == wanted, "what is done is on the disk"
    assert snapshot(seen[-2])["champion"] == wanted["champion"]
    for image in seen:
        require_whole(image, act)
        ACTS[act](image)
        assert snapshot(image) == wanted, f"{act}, power lost at {image.name}"
