"""What ``make evaluate`` asks before the first embedding, and what it leaves: the record, the page and the table."""

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
from distill.features.make import open_list
from distill.features.rule import RowRule
from distill.files.atomic import write_json
from distill.metrics.allpairs import FPRS, AllPairs, Engine, Settings, score_all_pairs
from distill.metrics.bootstrap import Bootstrap
from distill.protocol.placing import notes, table
from distill.protocol.verdict import Verdict
from distill.redact import command_line
from distill.report.evaluation_page import EvaluationPage, write_evaluation
from distill.report.terminal import print_evaluation
from distill.shown import shown
from distill.types import UNLABELLED
from teachers.onnx_network import OnnxNetwork


def row_rule(protocol: ProtocolConf, consensus: bool) -> RowRule:
    """How the protocol makes its features; ``UserError`` where it contradicts itself."""
    fusion = None if protocol.fusion is None else protocol.fusion.value
    return RowRule("video" if protocol.kind == "video" else "image", protocol.flip, fusion, consensus)


def open_labelled(conf: LabelledListConf, rule: RowRule) -> tuple[FaceList, NDArray[np.int64]]:
    """The list, with every entry checked to exist, and the person [n] of each; before the first embedding."""
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


def all_pairs_settings(conf: EvaluateConf) -> Settings:
    """Scores at the FPR of the protocol and at every decade; ``UserError`` for an FPR outside (0, 1)."""
    target = conf.protocol.far_target
    if not 0 < target < 1:
        raise UserError(f"protocol.target_fpr is {target:g}; expected a number between 0 and 1")
    return Settings(
        fprs=None if target in FPRS else (*FPRS, target),
        bootstrap=Bootstrap(conf.bootstrap, seed=conf.seed),
        engine=Engine(max_memory_bytes=conf.max_memory_bytes, device=conf.device),
    )


def score_features(conf: EvaluateConf, settings: Settings, out: Path, people: NDArray[np.int64]) -> AllPairs:
    """All pairs of the feature file in ``out``; finished blocks of an interrupted run are kept unless ``fresh``."""
    if conf.fresh:
        shutil.rmtree(out / PAIRS, ignore_errors=True)
    faces = labelled_features(out / FEATURES, people)
    return score_all_pairs(faces, settings=settings, work=out / PAIRS)


def made_from(conf: EvaluateConf, network: OnnxNetwork, faces: FaceList, rule: RowRule) -> dict[str, str]:
    """What the figures were made from, in words."""
    return {
        "model": str(network.path),
        "model sha256": network.file.sha256,
        "preprocessing": network.expects,
        "list": str(faces.lines.path),
        "list sha256": faces.lines.sha256,
        "labels": str(Path(conf.data.root) / conf.data.labels),
        "a row is": rule.words,
        "protocol": conf.protocol.source,
        **{package: version(package) for package in ("face-distill", "onnxruntime", "numpy")},
    }


def write_results(
    out: Path,
    conf: EvaluateConf,
    verdict: Verdict,
    scores: AllPairs,
    facts: Mapping[str, str],
    damage: Damage,
) -> None:
    """Write the record and the page, then print the table."""
    protocol = verdict.protocol
    board = conf.protocol.published
    rows, remarks = table(verdict, scores, board), notes(protocol, scores, board)
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
        notes=[*remarks, *([damage.words()] if len(damage) else [])],
        facts=list(facts.items()),
        command=command,
    )
    write_evaluation(out / PAGE, page)
    print_evaluation(protocol.name, rows, verdict.passed, verdict.reasons, remarks)
    print(f"report    {shown(out / PAGE)}")
