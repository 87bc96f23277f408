"""``report.html`` and ``card.md`` of a run, filled from its metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from distill.config.training_jobs import DistillConf
from distill.data.pairs import Pairs
from distill.export.parity import Parity
from distill.report.generations import generations_of
from distill.report.model_card import ModelCard, write_model_card
from distill.report.run_page import CostRow, ExamplePair, RunReport, write_report
from distill.report.scores import VerificationScores
from distill.runs.folder import SERIES, STUDENT_ONNX, RunFolder
from distill.tracking.series import read_series
from distill.types import Preprocessing
from teachers.card import Card

EXAMPLES = 12


def write_pages(
    folder: RunFolder, conf: DistillConf, metrics: Mapping[str, Any], teacher: Card | None, pairs: Sequence[ExamplePair]
) -> None:
    """Both pages, from ``metrics`` as they will stand in ``metrics.json``."""
    parity = Parity(**{**metrics["parity"], "batches": tuple(metrics["parity"]["batches"])})
    student = VerificationScores.from_json(metrics["student"])
    cost = _cost(metrics["check"])
    write_report(
        folder.file("report.html"),
        RunReport(
            title=f"{conf.student.name} distilled from {conf.teacher.name}" if teacher else conf.student.name,
            run=folder.path.name,
            finished=metrics["finished"],
            passed=metrics["verdict"] == "pass",
            reasons=metrics["reasons"],
            command=metrics["command"],
            student=student,
            teacher=VerificationScores.from_json(metrics["teacher"]) if metrics["teacher"] else None,
            teacher_name=conf.teacher.name if teacher else None,
            teacher_checked=metrics["teacher_tried"] or teacher is None,
            cost=cost,
            protocol=metrics["protocol"],
            parity=parity,
            series=read_series(folder.file(SERIES)),
            configuration=dataclasses.asdict(conf),
            environment={**metrics["versions"], "python": metrics["python"], **metrics["machine"]},
            pairs=pairs,
            generations=generations_of(metrics),
            look_next=_next(metrics),
        ),
    )
    write_model_card(folder.file("card.md"), _card(folder, conf, metrics, teacher, cost, student, parity))


def hardest(pairs: Pairs, embeddings: np.ndarray, threshold: float) -> list[ExamplePair]:
    """The pairs that are furthest on the wrong side of the threshold (a cosine), as pictures."""
    cosines = (embeddings[0::2] * embeddings[1::2]).sum(1)
    error = np.where(pairs.same, threshold - cosines, cosines - threshold)
    rows = np.argsort(-error)[:EXAMPLES]
    return [
        ExamplePair(png(pairs.images[2 * r]), png(pairs.images[2 * r + 1]), float(cosines[r]), bool(pairs.same[r]))
        for r in rows.tolist()
    ]


def png(image: Tensor) -> bytes:
    """RGB uint8 [3 h w] as PNG."""
    encoded, data = cv2.imencode(".png", cv2.cvtColor(image.permute(1, 2, 0).contiguous().numpy(), cv2.COLOR_RGB2BGR))
    assert encoded
    return data.tobytes()


def _cost(check: Mapping[str, Any]) -> list[CostRow]:
    """Cost against limits, as far as it could be counted."""
    limits = check["limits"]
    rows = [
        ("counter-FLOPs", check["flops"], limits["max_flops"], ""),
        ("file size", check["bytes"], limits["max_file_bytes"], "B"),
        ("MACs", check["macs"], None, ""),
        ("parameters", check["parameters"], None, ""),
    ]
    return [CostRow(name, value, limit, unit) for name, value, limit, unit in rows if value is not None]


def _next(metrics: Mapping[str, Any]) -> list[str]:
    """Where to look after this page."""
    lines = [
        "card.md beside this file shows how to use the model",
        "make dashboard lists all runs and shows how to sync them to W&B",
        f"make verify model={STUDENT_ONNX} pairs=FILE.bin scores it on another set",
    ]
    if metrics["verdict"] == "fail":
        lines.insert(
            0, "the student is over a limit: student=vargnet fits the light protocols, or choose another protocol="
        )
    return lines


def _card(
    folder: RunFolder,
    conf: DistillConf,
    metrics: Mapping[str, Any],
    teacher: Card | None,
    cost: Sequence[CostRow],
    scores: VerificationScores,
    parity: Parity,
) -> ModelCard:
    source = "No teacher: trained on labels only."
    licences = [f"Training data {conf.data.root}: its own licence applies to what is learned from it."]
    if teacher is not None:
        source = f"{teacher.name}, source: {teacher.source}."
        licences.append(f"Teacher {teacher.name}: {teacher.licence}")
    return ModelCard(
        name=conf.student.name,
        run=folder.path.name,
        finished=metrics["finished"],
        command=metrics["command"],
        model_file=STUDENT_ONNX,
        opset=conf.export.opset,
        embedding_dim=metrics["check"]["embedding_dim"],
        preprocessing=Preprocessing(),
        weights_sha256=metrics["weights_sha256"],
        protocol=metrics["protocol"],
        passed=metrics["verdict"] == "pass",
        reasons=metrics["reasons"],
        cost=cost,
        scores=scores,
        parity=parity,
        data=f"{metrics['images']:,} images of {metrics['people']:,} labelled people ({conf.data.name}).",
        teacher=source,
        licences=licences,
        limits=[
            "Input must be an aligned 112x112 crop (ArcFace's five-point template).",
            f"Scores are those of {metrics['set']}; other cameras, ages and poses may differ.",
        ],
    )
