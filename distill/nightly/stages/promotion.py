"""Promote or reject the night's student, and report it."""

from __future__ import annotations

import shutil
from typing import Any

from distill.errors import UserError
from distill.nightly.pages.night_page import NightReport, write_night_report
from distill.nightly.pipeline import Done, Records
from distill.nightly.records import STAGES, to_the_minute
from distill.nightly.results import (
    FreezeResult,
    JudgeResult,
    NightResults,
    PromoteResult,
    ReportResult,
    TrainResult,
    VerifyResult,
)
from distill.nightly.service_folder import open_registry
from distill.nightly.stages.student import run_folder, version_files
from distill.nightly.task import Task
from distill.registry.registry import Registry, Withdrawn
from distill.registry.version import Version
from distill.runs.folder import STUDENT_ONNX
from distill.tracking.night_events import NightFiles, failure_event, mirror, night_events

REPORT = "report.html"
NIGHT = "night"
"""The fact of a version that holds the number of its night."""


def registry_of(task: Task) -> Registry:
    return open_registry(task.root, task.conf.signing)


def champion_before(task: Task) -> Version | None:
    """The champion that this night's student is compared with.

    Where the night was killed just after its own student had become champion, that is the one before.
    """
    registry = registry_of(task)
    champion = registry.champion()
    if champion is not None and champion.facts.get(NIGHT) == task.night.number:
        return registry.previous()
    return champion


def promote_stage(task: Task, champion: Version | None, done: Records) -> Done:
    """Put the student into service if the judge accepts it; otherwise the champion stays."""
    before = None if champion is None else champion.name
    if not JudgeResult.of(done).judgement.promoted:
        return _rejected(before, "")
    if before != (compared := VerifyResult.of(done).champion_version):
        raise UserError(
            f"{task.root}: the champion is {before} and was {compared} when the student was "
            "compared with it; expected no concurrent change: start again"
        )
    registry = registry_of(task)
    version = registry.add(version_files(task.night), _facts(task, done))
    try:
        registry.promote(version.name, {NIGHT: task.night.number, "main": _main(done)}, instead_of=before)
    except Withdrawn as withdrawn:
        return _rejected(before, str(withdrawn))
    return Done(PromoteResult("promoted", version.name, before))


def _rejected(before: str | None, reason: str) -> Done:
    return Done(PromoteResult("rejected", None, before, reason))


def _facts(task: Task, done: Records) -> dict[str, Any]:
    """Facts of a version; the same if the night is run again."""
    freeze, train = FreezeResult.of(done), TrainResult.of(done)
    return {
        NIGHT: task.night.number,
        "images": freeze.images,
        "people": freeze.people,
        "data_sha256": freeze.data_sha256,
        "student": task.conf.student.name,
        "network_sha256": task.student.sha256,
        "start": train.start,
        "from": train.from_version,
        "scores": {name: scores.auc for name, scores in VerifyResult.of(done).sets.items()},
    }


def _main(done: Records) -> str:
    """The sentence of the judge's that decided."""
    reasons = JudgeResult.of(done).judgement.reasons
    return next((r.text for kind in ("main", "floor") for r in reasons if r.kind == kind), "")


def report_stage(task: Task, done: Records) -> Done:
    """The night's page; then events for W&B, pruning of old versions, and removal of the checkpoint."""
    path, folder = task.night.folder / REPORT, run_folder(task.night)
    write_night_report(path, report_of(task, done))
    registry = registry_of(task)
    pruned = registry.prune(task.conf.keep)
    shutil.rmtree(folder.checkpoint.parent, ignore_errors=True)
    champion, previous = registry.champion(), registry.previous()
    files = NightFiles(
        student=folder.file(STUDENT_ONNX),
        previous=None if previous is None else previous.file(STUDENT_ONNX),
        report=path,
        champion=None if champion is None else champion.file(STUDENT_ONNX),
    )
    seconds = {stage: record.seconds for stage, record in done.items()}
    events = night_events(task.root, task.night.number, NightResults.of(done), seconds, files)
    mirror(task.root, events, task.conf.tracking)
    return Done(ReportResult(pruned), [path])


def report_of(task: Task, done: Records) -> NightReport:
    """What the night's page shows."""
    run = run_folder(task.night).file("report.html")
    return NightReport(
        number=task.night.number,
        results=NightResults.of(done),
        seconds={stage: done[stage].seconds for stage in STAGES if stage in done},
        started=to_the_minute(done[FreezeResult.STAGE].started_at),
        student_page=run.relative_to(task.night.folder).as_posix() if run.is_file() else None,
    )


def report_failure(task: Task, stage: str) -> None:
    """An alert that the night failed."""
    mirror(task.root, [failure_event(task.night.number, stage)], task.conf.tracking)
