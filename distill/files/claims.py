"""Claims of work items, where several processes on one or many machines share a folder."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

LOCKS = ".locks"


class Claims:
    """A lock on each number, held by at most one process and freed by the kernel when that one dies.

    POSIX locks on single bytes of one file, which NFS passes on to its server. The one lock of ``distill.files.lock``
    is for a whole file and would need a file for each of some thousand shards or blocks; and two processes that it
    keeps apart must not go on, while claims only save work. Where a file system has no locks at
    all, every claim is granted: processes may then do work twice, and write the same bytes.
    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / LOCKS, os.O_RDWR | os.O_CREAT, 0o644)

    def take(self, number: int) -> bool:
        """Claim a number; False if another process holds it."""
        try:
            # one byte at offset ``number``, which may lie beyond the end of the file
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
        return True

    def free(self, number: int) -> None:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, number)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise

    def close(self) -> None:
        os.close(self._file)
