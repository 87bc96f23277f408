"""Two ONNX files and frozen sets in, a judgement out: for the judge's own job and for a night."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distill.config.scoring_jobs import JudgeConf
from distill.data.pairs import Pairs, read_pairs
from distill.errors import UserError
from distill.files.network_file import NetworkFile
from distill.judge.benchmark import Benchmark, read_benchmark
from distill.judge.comparison import Case, main_shortage
from distill.judge.decide import Facts, judge, main_set_of
from distill.judge.judgement import Judgement
from distill.metrics.embedding import embed_flip_sum
from distill.metrics.folds import FOLDS
from distill.metrics.roc import Floats
from distill.metrics.verification import distances
from distill.progress import waiting
from distill.runs.model_file import distinct_names
from teachers.onnx_network import OnnxNetwork


@dataclass(frozen=True)
class Rivals:
    """The files of the models that are compared; None where there is no such model."""

    challenger: NetworkFile
    champion: NetworkFile | None
    anchor: NetworkFile | None


def judge_models(
    models: Rivals,
    sets: Sequence[Path],
    settings: JudgeConf,
    facts: Facts,
    batch_size: int = 64,
) -> Judgement:
    """Score all ONNX files on every set (.bin) and judge; all files are read before the first embedding.

    A challenger that cannot be scored is rejected, with the reason; a champion or an anchor that cannot is a
    ``UserError``: there is nothing to compare with, and somebody has to look.
    """
    benchmarks = require_judgeable(sets, settings)
    compared = {"champion": models.champion, "anchor": models.anchor}
    known = {who: OnnxNetwork(file) for who, file in compared.items() if file is not None}
    new, cases = OnnxNetwork(models.challenger), []
    for path, benchmark in zip(sets, benchmarks, strict=True):
        pairs = read_pairs(path)
        scores = {who: _known(network, who, benchmark.name, pairs, batch_size) for who, network in known.items()}
        empty = Case(benchmark, np.full(len(pairs), np.nan), scores.get("champion"), scores.get("anchor"))
        cases.append(_challenged(empty, new, pairs, batch_size))
    return judge(cases, settings, facts)


def require_judgeable(sets: Sequence[Path], settings: JudgeConf) -> list[Benchmark]:
    """All sets; ``UserError`` where files are wrong, or the main set cannot show a gain of any model."""
    benchmarks = read_benchmarks(sets)
    name = main_set_of([benchmark.name for benchmark in benchmarks], settings)
    place, main = next((p, b) for p, b in zip(sets, benchmarks, strict=True) if b.name == name)
    if short := main_shortage(main, settings):
        raise UserError(
            f"{place}: too few pairs to judge any model by {settings.name_of(settings.main)} ({short}); expected a "
            "larger main set, or a wider judge.margin"
        )
    return benchmarks


def read_benchmarks(sets: Sequence[Path]) -> list[Benchmark]:
    """All sets, by names that differ, without their images; ``UserError`` for one that cannot be judged."""
    if absent := [path for path in sets if not path.is_file()]:
        raise UserError(f"{absent[0]}: no such file; expected a verification set (.bin)")
    found = []
    for path, name in zip(sets, distinct_names(sets, "pairs"), strict=True):
        benchmark, _ = read_benchmark(path)
        if len(benchmark.same) < FOLDS:
            raise UserError(f"{path}: {len(benchmark.same)} pairs; expected {FOLDS} or more, one for each fold")
        found.append(dataclasses.replace(benchmark, name=str(Path(name).with_suffix(""))))
    return found


def score(network: OnnxNetwork, what: str, pairs: Pairs, batch_size: int = 64) -> Floats:
    """Squared distances [p] of the pairs' unit vectors, flip-sum, as ``make verify`` has them."""
    with waiting(what, len(pairs.images), "images") as progress:
        embeddings = embed_flip_sum(network, pairs.images, batch_size, progress)
    return distances(embeddings[0::2], embeddings[1::2])


def _known(network: OnnxNetwork, who: str, name: str, pairs: Pairs, batch_size: int) -> Floats:
    try:
        return score(network, f"{who}: {name}", pairs, batch_size)
    except UserError as trouble:
        raise UserError(f"{who} on {name}: {trouble}") from trouble


def _challenged(case: Case, network: OnnxNetwork, pairs: Pairs, batch_size: int) -> Case:
    """The case with the challenger's scores, or with what kept it from giving any."""
    try:
        found = score(network, f"challenger: {case.benchmark.name}", pairs, batch_size)
    except UserError as trouble:  # NaN embeddings, or a graph that fails on crops: unfit, not the user's mistake
        return dataclasses.replace(case, trouble=str(trouble))
    return dataclasses.replace(case, challenger=found)
