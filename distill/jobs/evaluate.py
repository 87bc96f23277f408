"""``make evaluate``: one ONNX file by one protocol, from labelled images or videos to score, verdict and pages."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distill.config.groups import ProtocolConf
from distill.config.scoring_jobs import EvaluateConf, LabelledListConf
from distill.data.damage import Damage
from distill.errors import UserError
from distill.features.evaluation import FEATURES, FILE, PAGE, PAIRS, labelled_features
from distill.features.face_list import DISTRACTOR, FaceList, read_labels
from distill.features.make import Makers, frame_quality, open_list, write_features
from distill.features.rule import RowRule
from distill.files.atomic import write_json
from distill.files.network_file import network_sha256
from distill.files.writable import require_writable
from distill.metrics.allpairs import FPRS, AllPairs, Engine, Settings, score_all_pairs
from distill.metrics.bootstrap import Bootstrap
from distill.protocol.placing import Published, notes, table
from distill.protocol.verdict import Verdict
from distill.redact import command_line
from distill.report.evaluation_page import EvaluationPage, write_evaluation
from distill.report.terminal import print_evaluation
from distill.runs.check import check
from distill.runs.model_file import model_file
from distill.runs.requirements import require_at_least, require_engine
from distill.shown import shown
from distill.types import UNLABELLED
from teachers.onnx_network import OnnxNetwork, describe


def run(conf: EvaluateConf) -> int:
    """Embed, score, check and report; 0 where the file is within the protocol's limits, else 1."""
    model, protocol = model_file(conf.model), conf.protocol
    out = Path(conf.out) if conf.out else model.parent / f"evaluation-{protocol.name}"
    board = [Published(**asdict(entry)) for entry in protocol.published]
    rule = row_rule(protocol, conf.consensus)
    require_at_least(conf, batch_size=1, bootstrap=1, seed=0)
    settings = _settings(conf)
    network = OnnxNetwork(model)
    require_engine(settings.engine, network.embedding_dim)
    makers = Makers(network, frame_quality(conf.frame_quality, rule))
    faces, people = _labelled(conf.data, rule)
    require_writable(out / FILE)
    verdict = check(model, protocol, out)
    damage = Damage(conf.max_damaged)
    empty = write_features(makers, faces, rule, conf.batch_size, out / FEATURES, conf.fresh, damage)
    scores = _score(conf, settings, out, people)
    facts = _facts(conf, network, faces, rule)
    _deliver(out, conf, verdict, scores, board, facts, damage)
    if len(damage):
        print(f"{damage.words()}, and {empty:,} of {len(faces):,} {rule.kind}s with them")
    shutil.rmtree(out / PAIRS, ignore_errors=True)
    return 0 if verdict.passed else 1


def row_rule(protocol: ProtocolConf, consensus: bool) -> RowRule:
    """How the protocol makes its features; ``UserError`` where it contradicts itself."""
    fusion = None if protocol.fusion is None else protocol.fusion.value
    return RowRule("video" if protocol.kind == "video" else "image", protocol.flip, fusion, consensus)


def _labelled(conf: LabelledListConf, rule: RowRule) -> tuple[FaceList, NDArray[np.int64]]:
    """The list, every entry of it looked for, and the person [n] of each; all of it before the first embedding."""
    root = Path(conf.root)
    faces = open_list(root / conf.list, root, rule.kind, conf.links)
    path = root / conf.labels
    people = read_labels(path, faces)
    rows = np.bincount(people[people != UNLABELLED])
    if not (rows > 1).any():
        raise UserError(f"{path}: no label stands in two lines; expected people with two {rule.kind}s or more")
    if len(rows) + (people == UNLABELLED).sum() < 2:
        raise UserError(f"{path}: all lines have one label; expected two people or more, or distractors ({DISTRACTOR})")
    return faces, people


def _settings(conf: EvaluateConf) -> Settings:
    """At the protocol's FPR and at every decade."""
    target = conf.protocol.far_target
    if not 0 < target < 1:
        raise UserError(f"protocol.far_target is {target:g}; expected a number between 0 and 1")
    return Settings(
        fprs=None if target in FPRS else (*FPRS, target),
        bootstrap=Bootstrap(conf.bootstrap, seed=conf.seed),
        engine=Engine(max_memory_bytes=conf.max_memory_bytes, device=conf.device),
    )


def _score(conf: EvaluateConf, settings: Settings, out: Path, people: NDArray[np.int64]) -> AllPairs:
    """All pairs."""
    if conf.fresh:
        shutil.rmtree(out / PAIRS, ignore_errors=True)
    faces = labelled_features(out / FEATURES, people)
    return score_all_pairs(faces, settings=settings, work=out / PAIRS)


def _facts(conf: EvaluateConf, network: OnnxNetwork, faces: FaceList, rule: RowRule) -> dict[str, str]:
    """What the figures were made from, in words."""
    return {
        "model": str(network.path),
        "model sha256": network_sha256(network.path),
        "preprocessing": describe(network.preprocessing, network.preprocessing_source),
        "list": str(faces.lines.path),
        "list sha256": faces.lines.sha256,
        "labels": str(Path(conf.data.root) / conf.data.labels),
        "a row is": rule.words,
        "protocol": conf.protocol.source,
        **{package: version(package) for package in ("face-distill", "onnxruntime", "numpy")},
    }


def _deliver(
    out: Path,
    conf: EvaluateConf,
    verdict: Verdict,
    scores: AllPairs,
    board: list[Published],
    facts: Mapping[str, str],
    damage: Damage,
) -> None:
    """Write both files, then print the table."""
    protocol = verdict.protocol
    rows, told = table(verdict, scores, board), notes(protocol, scores, board)
    finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    command = command_line()
    write_json(
        out / FILE,
        {
            "protocol": protocol.name,
            "verdict": "pass" if verdict.passed else "fail",
            "reasons": list(verdict.reasons),
            "metric": protocol.metric,
            "far_target": protocol.far_target,
            "scores": scores.to_json(),
            **damage.to_json(),
            "published": [asdict(entry) for entry in board],
            "check": verdict.to_json(),
            "made_from": dict(facts),
            "command": command,
            "finished": finished,
        },
    )
    page = EvaluationPage(
        model=str(facts["model"]),
        protocol=protocol.name,
        metric=protocol.metric,
        finished=finished,
        passed=verdict.passed,
        reasons=verdict.reasons,
        rows=rows,
        notes=[*told, *([damage.words()] if len(damage) else [])],
        facts=list(facts.items()),
        command=command,
    )
    write_evaluation(out / PAGE, page)
    print_evaluation(protocol.name, rows, verdict.passed, verdict.reasons, told)
    print(f"report    {shown(out / PAGE)}")
