"""Checks that results can be written, before the hours that compute them."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from distill.errors import UserError


def require_writable(path: Path, option: str = "out=DIR") -> Path:
    """Make the folder of a file that will be written, and try to write there; returns ``path``.

    ``option`` is the option that selects another place.
    """
    if path.is_dir():
        raise UserError(f"cannot write {path}: is a folder; expected the name of a file: {option}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(b"1")
    except OSError as error:
        code = errno.ENOTDIR if isinstance(error, FileExistsError) else error.errno
        why = os.strerror(code or errno.EIO)
        raise UserError(
            f"cannot write {path}: {why}; expected a writable folder with some space: {option} names another"
        ) from error
    return path
