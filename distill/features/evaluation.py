"""The folder of an evaluation: names of its files, and its record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distill.errors import UserError
from distill.features.feature_file import open_features
from distill.features.writer import kept_rows
from distill.files.json_file import read_json
from distill.metrics.allpairs import LabelledFeatures
from distill.metrics.allpairs.result import AllPairs


@dataclass(frozen=True)
class Evaluation:
    """The content of ``evaluation.json`` at ``path`` that pages show."""

    path: Path
    model: Path
    model_sha256: str
    list: Path
    list_sha256: str
    labels: Path
    scores: AllPairs

    @property
    def features(self) -> Path:
        return self.path.parent / FEATURES


def read_evaluation(path: Path) -> Evaluation:
    """``evaluation.json``; ``UserError`` for a file that ``make evaluate`` did not write."""
    content = read_json(path)
    try:
        made = content["made_from"]
        model, faces, labels = (Path(made[key]) for key in ("model", "list", "labels"))
        known = str(made["model sha256"]), str(made["list sha256"])
        return Evaluation(path, model, known[0], faces, known[1], labels, AllPairs.from_json(content["scores"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: holds no evaluation ({error!r}); expected what `make evaluate` writes") from error


FILE, PAGE, FEATURES = "evaluation.json", "evaluation.md", "features.bin"
PAIRS = "pairs"
"""Folder of the finished blocks of pairs, for a run that is killed among them."""


def labelled_features(path: Path, people: NDArray[np.int64]) -> LabelledFeatures:
    """The rows of a feature file whose faces could be read, with the person of each."""
    features, kept = open_features(path, len(people)), kept_rows(path, len(people))
    return LabelledFeatures(features, people if kept is None else people[kept], str(path), kept)
