"""One digest of the contents of many files, cached as long as none of them changes.

A large set takes minutes to read, and every job needs its digest. As in git's index, a cached digest is valid while
every file has the same inode, size, modification and change time; programs cannot set a change time. Files that
changed within the last seconds are not cached, because file systems' clocks are coarse.
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.files.hashing import sha256
from distill.progress import waiting

WORTH_BYTES = 256 << 20
"""Smaller sets are read again instead of cached."""
SETTLED_S = 10.0
_AT_ONCE = 4096
_UNREADABLE = b"unreadable"


@dataclass(frozen=True)
class _Metadata:
    """Metadata of files; ``stamps`` changes with each of them, ``changed_s`` is the latest change."""

    files: int
    bytes: int
    stamps: str
    changed_s: float


def contents_sha256(paths: Callable[[], Iterable[Path]], name: str) -> str:
    """Hex sha256 of the contents of files in their order, whatever they are called; ``name`` is shown if it takes long.

    ``paths`` gives the same files at each call. One that cannot be read counts as such.
    """
    seen, contents = _metadata(paths()), Contents()
    if seen.bytes < WORTH_BYTES:
        contents.add(paths())
        return contents.sha256()
    if (cache := _cache_file(seen.stamps)) is not None and (known := _cached(cache)) is not None:
        return known
    with waiting(f"hashing {name}", seen.files, "files") as progress:
        contents.add(paths(), progress)
    found = contents.sha256()
    if cache is not None and seen.changed_s + SETTLED_S < time.time():
        with suppress(UserError):  # the next process reads again
            write_atomic(cache, found.encode())
    return found


class Contents:
    """The same digest, file by file: ``sha256`` is that of the files so far."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, paths: Iterable[Path], progress: Callable[[int], None] = lambda amount: None) -> None:
        """Read further files, many at a time."""
        left = iter(paths)
        with ThreadPoolExecutor(min(16, 2 * (os.cpu_count() or 1))) as pool:
            while some := list(islice(left, _AT_ONCE)):
                for found in pool.map(_content, some):
                    # pool.map keeps the order of the files, whichever thread is done first
                    self._digest.update(found)
                progress(len(some))

    def sha256(self) -> str:
        return self._digest.hexdigest()


class RowContents:
    """Digest of the inputs of the first rows, for work that is resumed: later rows may still change.

    ``files`` gives those of a row of ``rows``; ``name`` is shown where reading takes long.
    """

    def __init__(self, rows: int, files: Callable[[int], Iterable[Path]], name: str) -> None:
        self._rows, self._files, self._name = rows, files, name
        self._done, self._contents = 0, Contents()

    def sha256(self, rows: int) -> str:
        """Hex sha256 of the files of the first ``rows``, which grow from call to call."""
        if rows == self._rows and not self._done:
            return contents_sha256(lambda: self._paths(rows), self._name)
        assert rows >= self._done
        if rows - self._done > _AT_ONCE:
            with waiting(f"hashing {self._name}", rows - self._done, "files") as progress:
                self._contents.add(self._paths(rows), progress)
        else:
            self._contents.add(self._paths(rows))
        self._done = rows
        return self._contents.sha256()

    def _paths(self, rows: int) -> Iterator[Path]:
        return (path for row in range(self._done, rows) for path in self._files(row))


def _metadata(paths: Iterable[Path]) -> _Metadata:
    digest, files, size, changed_s = hashlib.sha256(), 0, 0, 0.0
    for path in paths:
        files += 1
        try:
            stat = path.stat()
        except OSError:
            digest.update(_UNREADABLE)
            continue
        digest.update(struct.pack("<QqqQ", stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino))
        size, changed_s = size + stat.st_size, max(changed_s, stat.st_ctime)
    return _Metadata(files, size, digest.hexdigest(), changed_s)


def _content(path: Path) -> bytes:
    try:
        return bytes.fromhex(sha256(path))
    except OSError:
        return _UNREADABLE


def _cache_file(stamps: str) -> Path | None:
    """The cache file of files with these stamps; None for a user without a home."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return cache / "face-distill" / "contents" / stamps


def _cached(cache: Path) -> str | None:
    try:
        found = cache.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return found if len(found) == hashlib.sha256().digest_size * 2 else None
