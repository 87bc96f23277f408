"""Writes a feature file block by block, so that a run that dies anywhere continues and ends with the same bytes.

``OUT.partial`` grows; ``OUT.json``, the journal, holds its inputs and the number of its rows that are synced to disk:
it is renamed into place after each block has been flushed. Bytes behind these rows are truncated by the next run. The
last step renames ``OUT.partial`` to ``OUT``; the journal stays as a record of the inputs.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from distill.errors import UserError
from distill.features.feature_file import HEADER_BYTES, file_bytes, header
from distill.files.atomic import write_atomic
from distill.files.durable import rename_synced
from distill.files.json_file import read_json
from distill.files.lock import Held, hold

WRITTEN, IMAGES = "rows_written", "images_sha256"
EMPTY, DAMAGED = "rows_without_features", "damaged"
"""Rows (from 0) that are all zeros, as nothing of their face can be read; and every image that cannot, with its row."""


class FeatureWriter:
    """A feature file of ``rows`` x ``cols`` in the making, as a context; ``done`` rows are synced.

    ``made_of`` are the inputs that determine the bytes, as JSON; ``images`` gives the digest of the images of the first
    rows, because later ones may still be repaired. Entering raises ``UserError`` where the place
    holds a file, or the beginning of one, that was made of something else (unless ``fresh``), where another process is
    writing, and where the disk has too little space.
    """

    def __init__(
        self,
        out: Path,
        shape: tuple[int, int],
        made_of: Mapping[str, Any],
        fresh: bool = False,
        images: Callable[[int], str] | None = None,
    ) -> None:
        self.out, (self.rows, self.cols) = out, shape
        self.done = 0
        self.empty: list[int] = []
        self.damaged: list[tuple[int, str]] = []
        self._partial, self._journal = out.with_name(f"{out.name}.partial"), journal_path(out)
        self._header = header(self.rows, self.cols)
        self._made_of = {**made_of, "rows": self.rows, "cols": self.cols}
        self._fresh, self._images = fresh, images
        self._named = False

    def __enter__(self) -> Self:
        if self.out.is_dir():
            raise UserError(f"{self.out} is a folder; expected the name of a feature file to write")
        self.out.parent.mkdir(parents=True, exist_ok=True)
        new = not self._partial.exists()
        # append: opening must not truncate a file that another process may be writing; unbuffered: fsync covers every
        # byte
        self._file = self._partial.open("ab", buffering=0)
        try:
            self._hold()
            self._continue_or_begin()
        except BaseException:
            self._file.close()
            if new:
                self._partial.unlink(missing_ok=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, features: NDArray[np.float32]) -> None:
        """Write the next rows [k d] and sync them to disk."""
        assert features.dtype == np.float32
        assert features.shape[1] == self.cols
        assert self.done + len(features) <= self.rows
        self._write(np.ascontiguousarray(features).tobytes())
        self._note(self.done + len(features))

    def finish(self) -> None:
        """Rename the complete file into place, unless an earlier run has done so."""
        assert self.done == self.rows
        if not self._named:
            rename_synced(self._partial, self.out)
            self._named = True

    def _hold(self) -> None:
        """Lock the partial file for this process."""
        try:
            hold(self._file, self._partial)
        except Held:
            raise UserError(
                f"{self._partial} is being written by another process; wait for it, or give another out"
            ) from None

    def _continue_or_begin(self) -> None:
        """Resume what an earlier run left, truncated to its synced rows, or start with the header."""
        held = self._partial.stat().st_size > HEADER_BYTES
        self._named = self.out.exists() and not held and not self._fresh
        if self._named:
            self.done = self._rows_of_earlier(self.out)
            self._partial.unlink()
            return
        if held and not self._fresh:
            self.done = self._rows_of_earlier(self._partial)
        self._require_space()
        self._file.truncate(file_bytes(self.done, self.cols) if self.done else 0)
        if not self.done:
            self._write(self._header)
        self._note(self.done)

    def _rows_of_earlier(self, there: Path) -> int:
        """Number of synced rows of the file ``there``; ``UserError`` unless they have the same inputs."""
        journal = self._read_journal()
        for key, wanted in self._made_of.items():
            if journal.get(key, wanted) != wanted:
                raise UserError(
                    f"{there} has features with {key} {journal[key]}, and this command {wanted}; expected the same: "
                    "give another out, or fresh=true to write them again"
                )
        done: Any = journal.get(WRITTEN)
        known = isinstance(done, int) and 0 <= done <= self.rows and self._made_of.keys() <= journal.keys()
        least = self.rows if self._named else 0
        if known and done >= least and there.stat().st_size >= file_bytes(done, self.cols):
            self._require_same_images(there, journal, done)
            self.empty = [row for row in journal.get(EMPTY, []) if row < done]
            self.damaged = [(row, what) for row, what in journal.get(DAMAGED, []) if row < done]
            return done
        raise UserError(
            f"{there} exists, and {self._journal} does not say what it is made of; expected a new name: give another "
            "out, or fresh=true to write it again"
        )

    def _require_same_images(self, there: Path, journal: Mapping[str, Any], done: int) -> None:
        if self._images is not None and journal.get(IMAGES) != self._images(done):
            raise UserError(
                f"{there} has features of images with other contents than those that are there now, among the first "
                f"{done:,} rows; expected the same: put these back, give another out, or fresh=true to write them again"
            )

    def _read_journal(self) -> Mapping[str, Any]:
        try:
            journal = read_json(self._journal)
        except UserError:
            return {}
        return journal if isinstance(journal, dict) else {}

    def _require_space(self) -> None:
        needed = file_bytes(self.rows, self.cols) - self._partial.stat().st_size
        free = shutil.disk_usage(self.out.parent).free
        if needed > free:
            raise UserError(f"{self.out} needs {needed:,} bytes, and {free:,} are free there; expected room for it")

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UserError(
                f"cannot write {self._partial}: {error.strerror}; {self.done:,} of {self.rows:,} rows are safe: "
                "expected room for the rest, and then the same command continues"
            ) from error

    def _note(self, done: int) -> None:
        images = {} if self._images is None else {IMAGES: self._images(done)}
        content = {**self._made_of, **images, WRITTEN: done, EMPTY: self.empty, DAMAGED: self.damaged}
        write_atomic(self._journal, json.dumps(content, indent=2).encode() + b"\n")
        self.done = done


def journal_path(out: Path) -> Path:
    """The journal of the features in ``out``."""
    return out.with_name(f"{out.name}.json")


def kept_rows(out: Path, rows: int) -> NDArray[np.int64] | None:
    """The rows [k] of a feature file that have features, by its journal; None: all."""
    try:
        journal = read_json(journal_path(out))
    except UserError:
        return None
    empty = journal.get(EMPTY) if isinstance(journal, dict) else None
    return np.delete(np.arange(rows), empty) if empty else None
