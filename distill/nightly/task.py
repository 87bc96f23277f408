"""A night to work on, and what decides what comes of it besides its data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distill.config.compose import config_hash
from distill.config.service_jobs import NightlyConf
from distill.data.decode import RULE
from distill.data.pairs import sets_in
from distill.errors import UserError
from distill.files.hashing import sha256, sha256_of
from distill.files.network_file import network_sha256
from distill.nightly.manifest import Manifest
from distill.nightly.service_folder import Night
from distill.runs.identity import begins_with
from distill.runs.model_file import model_file
from teachers.card import card_beside

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
    """Hex sha256 of options, decoding rule and the contents of networks, cards and benchmark sets, wherever they lie.

    Networks are the teacher, the anchor, and what a student begins with that does not begin with the champion.
    """
    sets = benchmark_files(conf)
    files = [*sets, *(path.with_suffix(".tsv") for path in sets)]
    teacher, anchor = conf.teacher, conf.judge.anchor
    models = [
        None if teacher.weights is None else _network(Path(teacher.weights), teacher.card),
        None if anchor is None else _network(model_file(anchor)),
        begins_with(conf.student),
    ]
    known = {path.name: sha256(path) for path in files if path.is_file()}
    return sha256_of([config_hash(conf, *NOT_DECIDING), models, known, RULE])


def _network(path: Path, card: str | None = None) -> list[str | None]:
    """Identities of a network and of its card; None for what is not there."""
    beside = card_beside(path) if card is None else Path(card)
    return [
        network_sha256(path) if path.is_file() else None,
        sha256(beside) if beside is not None and beside.is_file() else None,
    ]
