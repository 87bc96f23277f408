"""Files that are written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.files.foreign import refuse_foreign
from distill.files.kinds import EMPTY, TEXTS
from distill.redact import redact_known
from distill.shown import ERRORS


def write_atomic(path: Path, data: bytes) -> None:
    """Write beside ``path``, then rename; a failed write leaves an earlier file as it was and raises UserError."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        _discard(partial)
        raise UserError(
            f"cannot write {path} ({len(data)} bytes): {error.strerror}; expected a writable folder with that much "
            "space, so free some or choose another folder. An earlier file there is untouched"
        ) from error


def write_text(path: Path, text: str) -> None:
    """The same for text that is read back; bytes of paths that are no UTF-8 are written as they are."""
    write_atomic(path, text.encode(errors="surrogateescape"))


def write_page(path: Path, text: str) -> None:
    """The same for text that people read, whatever names are in it, without secrets of the environment."""
    write_atomic(path, redact_known(text).encode(errors=ERRORS))


def _discard(partial: Path) -> None:
    """Remove what was half written; its folder may be unwritable or not a folder at all."""
    try:
        partial.unlink()
    except OSError:
        return


def write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        refuse_foreign(path, "JSON that this project wrote", *TEXTS, EMPTY)
        raise UserError(f"{path} cannot be read: {error}; expected JSON that this project wrote") from error
