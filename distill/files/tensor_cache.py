"""A cache of tensors that take minutes and depend only on files, under a name derived from those files."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from distill.files.atomic import replacing
from distill.files.utf8_path import utf8_path

_log = logging.getLogger(__name__)


def cached(folder: Path, kind: str, made_from: tuple[str, ...], make: Callable[[], Tensor]) -> Tensor:
    """The tensor made by ``make``, or what an earlier run made of the same ``made_from``; damaged files are remade."""
    key = hashlib.sha256("\n".join(made_from).encode(errors="surrogateescape")).hexdigest()[:16]
    path = folder / f"{kind}-{key}.safetensors"
    if path.exists():
        try:
            with utf8_path(path) as text:
                return load_file(text)[kind]
        except (SafetensorError, KeyError):
            path.unlink()
    made = make().contiguous()
    _keep(made, kind, path)
    return made


def _keep(made: Tensor, kind: str, path: Path) -> None:
    """Write atomically; on failure the next run computes it again, and this one continues."""
    try:
        with replacing(path) as file:
            file.write(save({kind: made}))
    except (OSError, SafetensorError) as error:
        _log.warning("%s cannot be written, the next run will compute it again: %s", path, error)


CACHE = ".cache"
