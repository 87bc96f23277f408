"""The stages of a night, each with what decides its work besides the stage before it."""

from __future__ import annotations

from collections.abc import Mapping

from distill.files.hashing import sha256_of
from distill.nightly.pipeline import Records, Stage
from distill.nightly.stages.data import freeze_stage, signals_stage, vet_stage
from distill.nightly.stages.promotion import champion_before, promote_stage, report_stage
from distill.nightly.stages.scores import judge_stage, verify_stage
from distill.nightly.stages.student import Beginning, beginning, check_stage, export_stage, parity_stage, train_stage
from distill.nightly.task import Task


def stages(task: Task) -> list[Stage]:
    """All stages in order."""

    def begins() -> Beginning:
        return beginning(task, champion_before(task))

    def nothing(_: Records) -> Mapping[str, str]:
        return {}

    def champion(_: Records) -> Mapping[str, str]:
        found = champion_before(task)
        return {"champion": "none" if found is None else found.identity}

    def data(_: Records) -> Mapping[str, str]:
        place = sha256_of(task.manifest.place)  # the same pictures elsewhere are found by another manifest
        return {"data": task.manifest.data_sha256(), "place": place, "decided_by": task.decided_by}

    return [
        Stage("freeze", data, lambda done: freeze_stage(task)),
        Stage("signals", nothing, lambda done: signals_stage(task)),
        Stage("vet", nothing, lambda done: vet_stage(task, done)),
        Stage("train", champion, lambda done: train_stage(task, begins())),
        Stage("export", nothing, lambda done: export_stage(task)),
        Stage("parity", nothing, lambda done: parity_stage(task)),
        Stage("check", nothing, lambda done: check_stage(task)),
        Stage("verify", champion, lambda done: verify_stage(task, begins(), champion_before(task), done)),
        Stage("judge", champion, lambda done: judge_stage(task, champion_before(task), done)),
        Stage("promote", champion, lambda done: promote_stage(task, champion_before(task), done)),
        Stage("report", nothing, lambda done: report_stage(task, done)),
    ]
