"""Rows of features that are there already, whoever made them, with the person of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distill.errors import UserError
from distill.features.feature_file import open_features
from distill.features.writer import kept_rows
from distill.files.foreign import kind_of, refuse_foreign
from distill.files.kinds import FEATURES, NUMPY
from distill.metrics.allpairs import LabelledFeatures


def open_rows(path: Path) -> NDArray[np.float32]:
    """Features [n d], mapped: a feature file of the challenge, or float32 in NumPy's own format (``.npy``)."""
    kind = kind_of(path)
    if kind == FEATURES or (kind != NUMPY and path.suffix != ".npy"):
        return open_features(path)
    refuse_foreign(path, "a NumPy array (.npy)", NUMPY)
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else "is cut short or holds objects"
        raise UserError(f"{path}: {why}; expected float32 [n d] as np.save writes it") from error
    if rows.ndim != 2 or rows.dtype != np.float32:
        raise UserError(f"{path}: holds {rows.dtype} {list(rows.shape)}; expected float32 [n d]")
    return rows


def readable_rows(path: Path, rows: NDArray[np.float32], people: NDArray[np.int64]) -> LabelledFeatures:
    """The rows whose faces could be read, as far as it stands beside the file which could not."""
    kept = kept_rows(path, len(rows))
    if kept is None:
        return LabelledFeatures(rows, people, str(path))
    print(f"{path}: {len(rows) - len(kept):,} of {len(rows):,} rows are of faces that could not be read, and left out")
    return LabelledFeatures(rows, people[kept], str(path), kept)
