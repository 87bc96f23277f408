"""A night to work on, and what decides what comes of it besides its data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distill.data.pairs import sets_in
from distill.digest import sha256
from distill.jobs.compose import config_hash
from distill.jobs.model_file import model_file
from distill.jobs.nightly_schema import NightlyConf
from distill.nightly.manifest import Manifest
from distill.nightly.nights import Night
from distill.nightly.records import sha256_of
from distill.types import UserError

NOT_DECIDING = (
    *("root", "drops", "benchmarks", "data.root", "data.pairs", "teacher.weights", "teacher.card", "judge.anchor"),
    *("tracking", "keep", "signing"),
)
"""Parts of the configuration that change neither a student nor a verdict; files count by what is in them."""


@dataclass(frozen=True)
class Task:
    """A night with its frozen data, and a hash of everything else that decides its student and its verdict."""

    conf: NightlyConf
    night: Night
    manifest: Manifest
    decided_by: str

    @property
    def root(self) -> Path:
        return Path(self.conf.root)


def benchmark_files(conf: NightlyConf) -> list[Path]:
    """The frozen verification sets, the main one first. ``UserError`` where there is none."""
    folder = Path(conf.benchmarks or conf.drops)
    if not folder.is_dir():
        option = "benchmarks" if conf.benchmarks else "drops"
        raise UserError(f"{folder}: no such folder; expected one that is there: {option}=DIR")
    found = sets_in(folder)
    if not found:
        raise UserError(f"{folder}: holds no *.bin; expected frozen verification sets to judge by: benchmarks=DIR")
    return found


def decides(conf: NightlyConf) -> str:
    """Hex sha256 of the options, the teacher's weights and the benchmark sets, wherever these files lie."""
    sets = benchmark_files(conf)
    files = [*sets, *(path.with_suffix(".tsv") for path in sets)]
    models = [None if conf.teacher.weights is None else Path(conf.teacher.weights)]
    models.append(None if conf.judge.anchor is None else model_file(conf.judge.anchor))
    known = [sha256(path) if path is not None and path.is_file() else None for path in models]
    options = config_hash(conf, *NOT_DECIDING)
    return sha256_of([options, known, {path.name: sha256(path) for path in files if path.is_file()}])
