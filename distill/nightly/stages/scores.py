"""The night's student beside the champion on the frozen sets: verify, judge."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from distill.data.pairs import Pairs
from distill.export.onnx_file import state_sha256
from distill.files.atomic import write_atomic
from distill.files.network_file import NetworkFile
from distill.files.tensor_cache import CACHE
from distill.judge.comparison import Case
from distill.judge.decide import Facts, Requirement, judge
from distill.judge.judgement import Judgement, Reason
from distill.judge.scoring import read_benchmarks, score
from distill.metrics.verification import distances, verify_distances
from distill.nightly.pipeline import Done, Records
from distill.nightly.results import CheckResult, FreezeResult, JudgeResult, ParityResult, SetScores, VerifyResult
from distill.nightly.stages.student import Beginning, parity_of, run_folder, student_conf, trained_of
from distill.nightly.task import Task, benchmark_files
from distill.protocol.verdict import judge as judge_file
from distill.registry.version import Version
from distill.runs.check import limits
from distill.runs.export import trained_student
from distill.runs.finish import Proofs, TrainedRun, conclude
from distill.runs.folder import METRICS, STUDENT_ONNX, tracked
from distill.runs.student import open_inputs
from teachers.onnx_network import OnnxNetwork

SCORES = "scores.npz"
"""Squared distances [p] of every set, as ``WHO/SET``."""
STUDENT, CHAMPION, ANCHOR = "challenger", "champion", "anchor"
PAGES = (METRICS, "report.html", "card.md")


def verify_stage(task: Task, begins: Beginning, champion: Version | None, done: Records) -> Done:
    """Score the student and the champion on every frozen set; the student's pages are written on the way."""
    if not ParityResult.of(done).passed:
        return Done(VerifyResult())
    conf, folder = student_conf(task, begins), run_folder(task.night)
    opened = open_inputs(conf, task.root / CACHE, task.networks.teacher)
    verdict = judge_file(task.student, limits(conf.protocol))
    proofs = Proofs(task.student, state_sha256(trained_student(folder, conf.student)), parity_of(done), verdict)
    with tracked(folder, conf.tracking, conf) as wandb:
        run = TrainedRun(folder, conf, opened.pairs, opened.supervision, trained_of(task.night), wandb)
        embeddings = conclude(run, proofs)
    found = {f"{STUDENT}/{p.name}": distances(e[0::2], e[1::2]) for p, e in zip(opened.pairs, embeddings, strict=True)}
    compared = _compared_with(task, champion)
    found |= _known_scores(compared, opened.pairs)
    path = task.night.folder / SCORES
    _write_scores(path, found)
    result = VerifyResult(
        sets=_figures(opened.pairs, found, STUDENT),
        champion=None if champion is None else _figures(opened.pairs, found, CHAMPION),
        champion_version=None if champion is None else champion.name,
        networks={who: file.sha256 for who, file in {STUDENT: task.student, **compared}.items()},
    )
    return Done(result, [path, *(folder.file(name) for name in PAGES)])


def _compared_with(task: Task, champion: Version | None) -> dict[str, NetworkFile]:
    """The models that the student is compared with; the champion's file is checked to the last byte first."""
    models = {} if champion is None else {CHAMPION: NetworkFile(champion.verified().file(STUDENT_ONNX))}
    if task.networks.anchor is not None:
        models[ANCHOR] = task.networks.anchor
    return models


def _known_scores(models: Mapping[str, NetworkFile], pairs: Sequence[Pairs]) -> dict[str, np.ndarray]:
    """The squared distances of these models, as ``WHO/SET``."""
    networks = {who: OnnxNetwork(file) for who, file in models.items()}
    return {
        f"{who}/{p.name}": score(network, f"{who} on {p.name}", p) for who, network in networks.items() for p in pairs
    }


def _figures(pairs: Sequence[Pairs], found: dict[str, np.ndarray], who: str) -> dict[str, SetScores]:
    """The scores of one model by the standard protocol, set by set."""
    scores = {p.name: verify_distances(found[f"{who}/{p.name}"], p.same) for p in pairs}
    return {name: SetScores.from_json(score.to_json()) for name, score in scores.items()}


def _write_scores(path: Path, found: dict[str, np.ndarray]) -> None:
    content = io.BytesIO()
    np.savez(content, **found)  # pyright: ignore[reportArgumentType]
    write_atomic(path, content.getvalue())


def judge_stage(task: Task, champion: Version | None, done: Records) -> Done:
    """Whether the student replaces the champion, with every reason."""
    facts = Facts(_checked(done), _compared(done), _newer(champion, done))
    if not facts.parity.passed:
        return Done(JudgeResult(Judgement((Reason("requirement", "parity", "fails", facts.parity.text),), {}, {})))
    benchmarks = read_benchmarks(benchmark_files(task.conf))
    with np.load(task.night.folder / SCORES, allow_pickle=False) as scores:
        cases = [Case(b, *(scores.get(f"{who}/{b.name}") for who in (STUDENT, CHAMPION, ANCHOR))) for b in benchmarks]
    return Done(JudgeResult(judge(cases, task.conf.judge, facts)))


def _checked(done: Records) -> Requirement:
    check = CheckResult.of(done)
    return Requirement(check.passed, "; ".join(check.reasons) or "within the limits of the protocol")


def _compared(done: Records) -> Requirement:
    parity = ParityResult.of(done)
    text = parity.reason or f"largest relative difference from the network {parity.max_difference:.2g}"
    return Requirement(parity.passed, text)


def _newer(champion: Version | None, done: Records) -> bool:
    """Whether the student knows data that the champion does not."""
    return champion is None or champion.facts.get("data_sha256") != FreezeResult.of(done).data_sha256
