"""The faults of the drill: each is a hook that a start of the job calls before it begins."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distill.nightly import pipeline as stages
from distill.nightly.records import Record


def die() -> None:
    """As from outside, at once: no handler, no ``finally``."""
    os.kill(os.getpid(), signal.SIGKILL)


def at_record(stage: str, written: bool) -> Callable[[], None]:
    """Killed where a stage ends: its work is done, and its record is ``written`` or not."""

    def hook() -> None:
        write = stages.write_record

        def killing(night: Path, record: Record) -> None:
            if record.stage == stage and not written:
                die()
            write(night, record)
            if record.stage == stage:
                die()

        stages.write_record = killing

    return hook


def before_rename(number: int) -> Callable[[], None]:
    """Power lost between a write and its rename: the new file is there under its partial name."""

    def hook() -> None:
        made = 0

        def counting(rename: Callable[..., None]) -> Callable[..., None]:
            def call(source: Any, target: Any, **more: Any) -> None:
                nonlocal made
                made += 1
                if made == number:
                    die()
                rename(source, target, **more)

            return call

        os.replace, os.rename = counting(os.replace), counting(os.rename)

    return hook


class LostRename:
    """Power lost after rename ``number`` + 1, which reached the disk where the one before it did not.

    File systems may write names in another order than they were given, unless the folder is synchronised in between.
    So rename ``number`` is undone, unless its folder was; and a file that was never synchronised is left empty.
    """

    def __init__(self, number: int) -> None:
        self._number, self._made = number, 0
        self._synced: set[str] = set()
        self._undo: tuple[Path, Path, Path | None] | None = None

    def __call__(self) -> None:
        sync = os.fsync

        def synced(descriptor: int) -> None:
            sync(descriptor)
            self._synced.add(os.path.realpath(f"/proc/self/fd/{descriptor}"))

        os.fsync = synced
        os.replace, os.rename = self._watched(os.replace), self._watched(os.rename)

    def _watched(self, rename: Callable[..., None]) -> Callable[..., None]:
        def call(source: Any, target: Any, **more: Any) -> None:
            self._made += 1
            if self._made == self._number:
                self._note(Path(source), Path(target))
            rename(source, target, **more)
            if self._made == self._number + 1:
                self._lose(rename)
                die()

        return call

    def _note(self, source: Path, target: Path) -> None:
        """Remember what the target was, and whether the source is on the disk."""
        kept = None
        if target.is_file() and not target.is_symlink():
            kept = target.with_name(f".{target.name}.before")
            shutil.copy2(target, kept)
        if source.is_file() and not source.is_symlink() and os.path.realpath(source) not in self._synced:
            source.write_bytes(b"")
        self._synced.discard(os.path.realpath(target.parent))
        self._undo = (source, target, kept)

    def _lose(self, rename: Callable[..., None]) -> None:
        assert self._undo is not None
        source, target, kept = self._undo
        durable = os.path.realpath(target.parent) in self._synced
        if not durable and not target.is_symlink() and target.exists():
            rename(target, source)
            if kept is not None:
                rename(kept, target)
        elif kept is not None:
            kept.unlink()
