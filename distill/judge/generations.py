"""A generation of recursive distillation against the one before: the judge on the pairs of the runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from distill.config.groups import DataConf
from distill.config.scoring_jobs import JudgeConf
from distill.data.pairs import Pairs
from distill.files.network_file import NetworkFile
from distill.judge.benchmark import Benchmark, benchmark_of
from distill.judge.comparison import Case
from distill.judge.decide import Facts, Requirement, judge
from distill.judge.judgement import ALL, Judgement
from distill.judge.scoring import score
from distill.metrics.verification import distances
from distill.report.generations import Generation, GenerationFigure, generations_of
from distill.runs.assemble import verification_files
from distill.runs.finish import Judged, Proofs
from distill.runs.folder import STUDENT_ONNX, RunFolder
from teachers.onnx_network import OnnxNetwork


def benchmarks_of(conf: DataConf, sets: Sequence[Pairs]) -> list[Benchmark]:
    """The verification sets of a run, with what lies beside them, for the judge."""
    return [benchmark_of(path, pairs) for path, pairs in zip(verification_files(conf), sets, strict=True)]


def judged_against(
    before: RunFolder, number: int, run: str, benchmarks: Sequence[Benchmark], sets: Sequence[Pairs]
) -> Judged:
    """The comparison of generation ``number``, the student of ``run``, with that of the finished run ``before``.

    ``UserError`` at once where the latter's file is missing or damaged. The rules are the judge's defaults: the newer
    student has learned from the same data, so it has to be better, and not only as good.
    """
    champion = OnnxNetwork(NetworkFile(before.file(STUDENT_ONNX)))

    def compare(proofs: Proofs, embeddings: Sequence[np.ndarray]) -> list[Generation]:
        older = generations_of(before.metrics())
        cases = []
        for benchmark, pairs, rows in zip(benchmarks, sets, embeddings, strict=True):
            known = score(champion, f"generation {number - 1} on {pairs.name}", pairs)
            cases.append(Case(benchmark, distances(rows[0::2], rows[1::2]), known))
        found = judge(cases, JudgeConf(), _facts(proofs))
        first = [Generation(number - 1, before.path.name, list(_figures(found, newer=False)))]
        newest = Generation(number, run, list(_figures(found)), in_words(found, number), found.to_json())
        return [*(older or first), newest]

    return compare


def _facts(proofs: Proofs) -> Facts:
    limits = "; ".join(proofs.verdict.reasons) or "within the limits of the protocol"
    parity = f"largest relative difference from the network {proofs.parity.max_relative:.2g}"
    return Facts(Requirement(proofs.verdict.passed, limits), Requirement(True, parity), newer_data=False)


def _figures(found: Judgement, newer: bool = True) -> Iterator[GenerationFigure]:
    """The figures of complete sets, of the newer student with their differences or of the older one."""
    for one in found.reasons:
        if one.set is None or one.slice != ALL or one.challenger is None or one.champion is None:
            continue
        interval = None if one.interval is None else [*one.interval]
        difference = (one.difference, interval) if newer else (None, None)
        yield GenerationFigure(one.set, one.metric, one.challenger if newer else one.champion, *difference)


def in_words(found: Judgement, number: int) -> str:
    """Which of two generations is better by the main figure, as far as the pairs can tell."""
    newer, older = f"generation {number}", f"generation {number - 1}"
    main = next((one for one in found.reasons if one.kind == "main"), None)
    if main is None or main.interval is None:
        return f"whether {newer} is better than {older} is not known: too few pairs, or scores that are not finite"
    low, high = main.interval
    by = f"by {main.metric} on {main.set}"
    if low > 0:
        return f"{newer} is better than {older} {by}"
    if high < 0:
        return f"{older} is better than {newer} {by}, so that its student is the one to deliver"
    return f"{newer} and {older} do not differ {by} beyond the interval"
