"""Finished runs as scores of the same pairs, and by how much the means over seeds of two ways of training differ.

A difference has two sources of chance: the pairs that happen to be in the set, and the seeds of the runs. Pairs are
resampled once for all runs (``distill.metrics.paired``), so that a hard pair is hard for all of them. The differences
of the same seed vary by the runs alone. Both variances are added up; with few seeds the quantile is that of Student's
distribution with Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946).
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from distill.config.compose import read_config
from distill.config.training_jobs import DistillConf
from distill.files.atomic import write_atomic
from distill.files.network_file import NetworkFile
from distill.judge.benchmark import read_benchmark
from distill.judge.scoring import score
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.paired import Metric, figures, resampled, scoring
from distill.runs.assemble import verification_files
from distill.runs.folder import CONFIG, STUDENT_ONNX
from teachers.onnx_network import OnnxNetwork

FPR = 0.01
CONFIDENCE = 0.95
RESAMPLES = 1000
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SetScores:
    """Squared distances [p] of one run on one set, the pairs' labels [p] and, where known, their persons [p 2]."""

    distances: Floats
    same: NDArray[np.bool_]
    persons: NDArray[np.int64] | None


RunScores = Mapping[str, SetScores]
"""The scores of one run by the names of its sets."""


def scores_of(run: Path) -> RunScores:
    """The exported student of a finished run on the run's own sets; kept beside the run in ``RUN.npz``."""
    kept = run.with_name(f"{run.name}.npz")
    if not kept.exists():
        write_atomic(kept, _packed(_scored(run)))
    with np.load(kept, allow_pickle=False) as stored:
        names = sorted({name.partition("/")[2] for name in stored.files})
        return {
            name: SetScores(stored[f"distances/{name}"], stored[f"same/{name}"], stored.get(f"persons/{name}"))
            for name in names
        }


def _scored(run: Path) -> dict[str, SetScores]:
    network, found = OnnxNetwork(NetworkFile(run / STUDENT_ONNX)), {}
    for path in verification_files(read_config(run / CONFIG, DistillConf).data):
        benchmark, pairs = read_benchmark(path)
        distances = score(network, f"{run.name} on {pairs.name}", pairs)
        found[benchmark.name] = SetScores(distances, benchmark.same, benchmark.persons)
    return found


def _packed(scores: RunScores) -> bytes:
    arrays = {}
    for name, one in scores.items():
        arrays |= {f"distances/{name}": one.distances, f"same/{name}": one.same}
        arrays |= {} if one.persons is None else {f"persons/{name}": one.persons}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # pyright: ignore[reportArgumentType]
    return content.getvalue()


def run_figures(run: RunScores, folds: int) -> dict[str, float]:
    """Every ``Metric`` of one run, the mean over its sets."""
    found = np.mean([_point(one, folds) for one in run.values()], axis=0)
    return dict(zip(map(str, Metric), found.tolist(), strict=True))


def differences(
    runs: Sequence[RunScores], baseline: Sequence[RunScores], folds: int, resamples: int = RESAMPLES
) -> dict[str, dict[str, float]]:
    """Mean difference of every ``Metric`` to the baseline's runs of the same seeds: value, low and high.

    ``seeds_share`` is the seeds' part of the variance. With one seed the interval is that of the pairs alone.
    """
    assert len(runs) == len(baseline) > 0
    by_seed = np.array(
        [
            [run_figures(one, folds)[metric] - run_figures(base, folds)[metric] for metric in Metric]
            for one, base in zip(runs, baseline, strict=True)
        ]
    )  # (seeds, metrics)
    drawn = np.mean(
        [_drawn(runs, baseline, name, folds, Bootstrap(resamples, seed=k)) for k, name in enumerate(runs[0])], axis=0
    )
    of_pairs = drawn.var(axis=0, ddof=1)
    seeds = len(by_seed)
    of_seeds = by_seed.var(axis=0, ddof=1) / seeds if seeds > 1 else np.zeros(len(Metric))
    found = {}
    for m, metric in enumerate(Metric):
        value, reach = float(by_seed[:, m].mean()), half_width(float(of_pairs[m]), float(of_seeds[m]), seeds)
        share = float(of_seeds[m] / (of_pairs[m] + of_seeds[m])) if of_pairs[m] + of_seeds[m] > 0 else 0.0
        found[metric.value] = {"value": value, "low": value - reach, "high": value + reach, "seeds_share": share}
    return found


def half_width(of_pairs: float, of_seeds: float, seeds: int) -> float:
    """Half of the interval of a difference whose variance is ``of_pairs``, well known, plus ``of_seeds``.

    ``of_seeds`` is the variance of a mean, estimated from so many seeds.
    """
    total = of_pairs + of_seeds
    freedom = math.inf if of_seeds == 0 else (seeds - 1) * (total / of_seeds) ** 2
    return float(student_t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(total)


def _point(scores: SetScores, folds: int) -> Floats:
    """Every metric [m] on the pairs as they are."""
    once, everything = np.ones((1, len(scores.same))), np.ones((1, len(scores.same)), bool)
    return figures(scoring(scores.distances, scores.same, folds), once, everything, FPR)[0, 0]


def _drawn(
    runs: Sequence[RunScores], baseline: Sequence[RunScores], name: str, folds: int, bootstrap: Bootstrap
) -> Floats:
    """Mean differences [r m] on one set under resampled pairs, or persons where they are known."""
    both = [run[name] for run in (*runs, *baseline)]
    everything = np.ones((1, len(both[0].same)), bool)
    scorings = [scoring(one.distances, one.same, folds) for one in both]
    drawn = resampled(scorings, everything, FPR, bootstrap, both[0].persons)[:, :, 0]
    return drawn[: len(runs)].mean(axis=0) - drawn[len(runs) :].mean(axis=0)
