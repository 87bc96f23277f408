"""A night to work on, and what decides what comes of it besides its data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from distill.config.compose import config_hash
from distill.config.service_jobs import NightlyConf
from distill.data.decode import RULE
from distill.data.pairs import sets_in
from distill.errors import UserError
from distill.files.hashing import sha256, sha256_of
from distill.files.network_file import NetworkFile
from distill.nightly.manifest import DataManifest
from distill.nightly.service_folder import Night
from distill.runs.folder import STUDENT_ONNX
from distill.runs.identity import begins_with
from distill.runs.model_file import model_file
from teachers.card import card_beside

NOT_DECIDING = (
    *("root", "drops", "benchmarks", "data.root", "data.pairs", "teacher.weights", "teacher.card", "judge.anchor"),
    *("tracking", "keep", "signing"),
)
"""Parts of the configuration that change neither a student nor a verdict; files count by what is in them."""


RUN = "run"
"""The run folder of a night's student, inside the night's."""


@dataclass(frozen=True)
class NightNetworks:
    """The files of the networks that a service is given: all stages of a night share them."""

    conf: NightlyConf

    @cached_property
    def teacher(self) -> NetworkFile | None:
        """That of its weights, whether it is there or not; None for a teacher without any."""
        weights = self.conf.teacher.weights
        return None if weights is None else NetworkFile(Path(weights))

    @cached_property
    def anchor(self) -> NetworkFile | None:
        """``UserError`` where the anchor is a folder without a student; None without an anchor."""
        anchor = self.conf.judge.anchor
        return None if anchor is None else NetworkFile(model_file(anchor))


@dataclass(frozen=True)
class Task:
    """A night with its frozen data, and a hash of everything else that decides its student and its verdict."""

    conf: NightlyConf
    night: Night
    manifest: DataManifest
    decided_by: str
    networks: NightNetworks

    @property
    def root(self) -> Path:
        return Path(self.conf.root)

    @cached_property
    def student(self) -> NetworkFile:
        """The exported student, for the stages after its export."""
        return NetworkFile(self.night.folder / RUN / STUDENT_ONNX)


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


def decides(conf: NightlyConf, networks: NightNetworks) -> str:
    """Hex sha256 of options, decoding rule and the contents of networks, cards and benchmark sets, wherever they lie.

    Networks are the teacher, the anchor, and what a student begins with that does not begin with the champion.
    """
    sets = benchmark_files(conf)
    files = [*sets, *(path.with_suffix(".tsv") for path in sets)]
    models = [
        None if networks.teacher is None else _network(networks.teacher, conf.teacher.card),
        None if networks.anchor is None else _network(networks.anchor),
        begins_with(conf.student),
    ]
    known = {path.name: sha256(path) for path in files if path.is_file()}
    return sha256_of([config_hash(conf, *NOT_DECIDING), models, known, RULE])


def _network(file: NetworkFile, card: str | None = None) -> list[str | None]:
    """Identities of a network and of its card; None for what is not there."""
    beside = card_beside(file.path) if card is None else Path(card)
    return [
        file.sha256 if file.path.is_file() else None,
        sha256(beside) if beside is not None and beside.is_file() else None,
    ]
