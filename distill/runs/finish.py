"""What comes after training: ONNX file, parity, verdict, scores, report, card; then the run is finished."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from torch import Tensor

from distill.config.training_jobs import DistillConf
from distill.data.pairs import Pairs
from distill.export.onnx_file import state_sha256
from distill.export.parity import Parity
from distill.files.network_file import NetworkFile
from distill.metrics.embedding import embed_flip_sum
from distill.metrics.verification import Verification, verify, verify_distances
from distill.progress import waiting
from distill.protocol.verdict import Verdict
from distill.redact import command_line
from distill.report.generations import Generation, generations_of, to_json
from distill.report.terminal import Summary, print_summary
from distill.runs.baseline import find_baseline
from distill.runs.check import check
from distill.runs.export import export_frame_quality, export_network, parity_images
from distill.runs.folder import STUDENT_ONNX, RunFolder
from distill.runs.pages import hardest, write_pages
from distill.runs.supervision import Supervision
from distill.tracking.wandb_run import WandbRun
from distill.types import Embedder, FaceNetwork
from teachers.onnx_network import OnnxNetwork


@dataclass(frozen=True)
class Trained:
    """Results of a finished training, as plain JSON.

    ``learned_from`` is the teacher's name, None where no term asked for one; ``comparison`` is shared by runs that
    differ in nothing else.
    """

    images: int
    people: int
    teacher_tried: bool
    learned_from: str | None
    comparison: str
    machine: Mapping[str, Any]
    training_s: float
    losses: Mapping[str, float]


@dataclass(frozen=True)
class TrainedRun:
    """A run whose student is trained, and what the student is scored on and compared with.

    ``judged`` compares the student of a later generation with the one before.
    """

    folder: RunFolder
    conf: DistillConf
    pairs: Sequence[Pairs]
    supervision: Supervision | None
    trained: Trained
    wandb: WandbRun
    judged: Judged | None = None


@dataclass(frozen=True)
class Proofs:
    """What is proven of the exported file: it computes what the network computes, and it fits the protocol or not."""

    file: NetworkFile
    weights_sha256: str
    parity: Parity
    verdict: Verdict


Judged = Callable[[Proofs, Sequence[np.ndarray]], list[Generation]]
"""From a student's proofs and its embeddings [2p d] of each set to all generations up to it, the first one first."""


def finish_run(run: TrainedRun, network: FaceNetwork) -> int:
    """Export, compare, judge, score, write and print; 0 where the student passes its protocol, else 1."""
    folder, conf = run.folder, run.conf
    path = folder.file(STUDENT_ONNX)
    images = parity_images(run.pairs[0], conf.export.parity_images)
    parity = export_network(network, path, folder.path.name, conf.export, images)
    export_frame_quality(network, folder.path, folder.path.name, conf.export, images)
    file = NetworkFile(path)
    conclude(run, Proofs(file, state_sha256(network), parity, check(file, conf.protocol, folder.path)))
    return show(folder)


def conclude(run: TrainedRun, proofs: Proofs) -> list[np.ndarray]:
    """Score the exported student, write both pages, track, and finish the run; its embeddings [2p d] of each set."""
    folder, conf = run.folder, run.conf
    student_file = OnnxNetwork(proofs.file)
    embeddings = [_embeddings(student_file, pairs, "student") for pairs in run.pairs]
    student = [_verified(e, pairs) for e, pairs in zip(embeddings, run.pairs, strict=True)]
    metrics = _metrics(run, proofs, student, _teacher_scores(run))
    if run.judged is not None:
        metrics["generations"] = to_json(run.judged(proofs, embeddings))
    shown = []
    if conf.data.pictures:
        shown = hardest(run.pairs[0], embeddings[0], 1 - student[0].threshold / 2)
    write_pages(folder, conf, metrics, run.supervision and run.supervision.card, shown)
    _track(run, metrics, student[0])
    folder.finish(metrics)
    return embeddings


def show(folder: RunFolder) -> int:
    """Print the closing table of a finished run; its exit status."""
    metrics = folder.metrics()
    folder.point_latest()
    baseline = find_baseline(folder.path.parent, metrics)
    print_summary(
        Summary(
            folder=folder.path,
            losses=metrics["losses"],
            student=_StoredVerification(metrics["student"]),
            baseline=baseline and _StoredVerification(baseline.student),
            baseline_source=baseline.source if baseline else "",
            teacher=_StoredVerification(metrics["teacher"]) if metrics["teacher"] else None,
            cost=[tuple(row) for row in metrics["cost"]],
            passed=metrics["verdict"] == "pass",
            reasons=metrics["reasons"],
            generations=generations_of(metrics),
        )
    )
    return 0 if metrics["verdict"] == "pass" else 1


class _StoredVerification:
    """The part of a stored verification that the closing table shows."""

    def __init__(self, stored: Mapping[str, Any]) -> None:
        self.accuracy_mean: float = stored["accuracy_mean"]
        self.accuracy_std: float = stored["accuracy_std"]
        self.auc: float | None = stored["auc"]
        self.tpr_at_fpr: Mapping[str, float | None] = stored["tpr_at_fpr"]


def _verified(embeddings: Tensor | np.ndarray, pairs: Pairs) -> Verification:
    rows = np.asarray(embeddings)
    return verify(rows[0::2], rows[1::2], pairs.same, left_out=pairs.left_out)


def _embeddings(embedder: Embedder, pairs: Pairs, who: str) -> np.ndarray:
    with waiting(f"{who} on {pairs.name}", len(pairs.images), "images") as progress:
        return embed_flip_sum(embedder, pairs.images, progress=progress)


def _teacher_scores(run: TrainedRun) -> list[Verification]:
    """The teacher on the same pairs; none where it is not here and its distances are not stored for all of them."""
    if run.supervision is None:
        return []
    found = [run.supervision.distances(pairs) for pairs in run.pairs]
    known = [
        verify_distances(d, p.same, left_out=p.left_out) for d, p in zip(found, run.pairs, strict=True) if d is not None
    ]
    return known if len(known) == len(found) else []


def _metrics(
    run: TrainedRun, proofs: Proofs, student: Sequence[Verification], teacher: Sequence[Verification]
) -> dict[str, Any]:
    """All of ``metrics.json``; ``student`` and ``teacher`` are the main set's, ``sets`` holds every set."""
    names, verdict = [pairs.name for pairs in run.pairs], proofs.verdict
    return {
        "verdict": "pass" if verdict.passed else "fail",
        "reasons": list(verdict.reasons),
        "protocol": run.conf.protocol.name,
        "set": names[0],
        "student": student[0].to_json(),
        "teacher": teacher[0].to_json() if teacher else None,
        **asdict(run.trained),
        "sets": {
            "student": {n: v.to_json() for n, v in zip(names, student, strict=True)},
            "teacher": {n: v.to_json() for n, v in zip(names, teacher, strict=False)},
        },
        "cost": verdict.rows(),
        "check": verdict.to_json(),
        "parity": asdict(proofs.parity),
        "weights_sha256": proofs.weights_sha256,
        "versions": {p: version(p) for p in ("face-distill", "torch", "pytorch-lightning", "onnx", "onnxruntime")},
        "python": platform.python_version(),
        "command": command_line(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _track(run: TrainedRun, metrics: Mapping[str, Any], student: Verification) -> None:
    """Results as the W&B run's summary, the similarity histograms, and the files as an artifact."""
    wandb, folder, histogram = run.wandb, run.folder, student.histogram
    checked = metrics["check"]
    wandb.summary(
        {
            "verdict": metrics["verdict"],
            "accuracy/student": student.accuracy_mean,
            "accuracy/teacher": metrics["teacher"]["accuracy_mean"] if metrics["teacher"] else None,
            "cost/flops": checked["flops"],
            "cost/flops_limit": checked["limits"]["max_flops"],
            "cost/bytes": checked["bytes"],
            "cost/bytes_limit": checked["limits"]["max_file_bytes"],
            "cost/macs": checked["macs"],
            "cost/parameters": checked["parameters"],
        }
    )
    step = metrics["machine"]["steps"]
    wandb.histogram(step, "similarity/genuine", histogram.genuine, histogram.edges)
    wandb.histogram(step, "similarity/impostor", histogram.impostor, histogram.edges)
    files = [folder.file(name) for name in (STUDENT_ONNX, "report.html", "card.md")]
    wandb.artifact(files, f"{run.conf.student.name}-{run.conf.teacher.name}", {"verdict": metrics["verdict"]})
