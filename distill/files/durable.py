"""Atomic and durable files, folders and links: they survive a power cut. First the contents, then the name.

A rename is atomic, and lasts once its folder is written to disk; what it names has to be on disk before. So every
file is synced, then the folder that lists it, then the rename, then the folder of the new name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"
"""Name of an unfinished folder beside its final place; the holder of the lock may remove one that it finds."""


_CHUNK_BYTES = 1 << 20


def write_synced(path: Path, data: bytes) -> None:
    """A new file, on disk when this returns."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def copy_synced(source: Path, target: Path) -> str:
    """Copy the contents of a file, and neither its mode nor its times; the hex sha256 of what was written."""
    digest = hashlib.sha256()
    with source.open("rb") as old, target.open("xb") as new:
        while chunk := old.read(_CHUNK_BYTES):
            digest.update(chunk)
            new.write(chunk)
        new.flush()
        os.fsync(new.fileno())
    return digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """Names that were made, changed or removed in the folder are on disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_synced(source: Path, target: Path) -> None:
    """Rename a file, link or folder whose contents are on disk; durable when this returns."""
    os.replace(source, target)
    sync_folder(target.parent)


@contextmanager
def placed(folder: Path, partial: Path | None = None) -> Iterator[Path]:
    """A new folder to fill, which becomes ``folder`` in one rename; where filling it fails, nothing is left of it.

    It is filled at ``partial``, or ``.partial`` beside it; what an earlier one left there is removed.
    """
    partial = partial or folder.with_name(PARTIAL)
    discard(partial)
    try:
        partial.mkdir()
        yield partial
        sync_folder(partial)
        rename_synced(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def point(link: Path, target: str, partial: Path | None = None) -> None:
    """Make ``link`` lead to ``target``, in one rename; it is made at ``partial``, or ``.partial-LINK`` beside it."""
    partial = partial or link.with_name(f"{PARTIAL}-{link.name}")
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    rename_synced(partial, link)


def discard(folder: Path) -> None:
    """Remove a folder with all that is in it, where there is one."""
    if folder.exists():
        shutil.rmtree(folder)
