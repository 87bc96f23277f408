"""The data of a night: freeze, signals, vet."""

from __future__ import annotations

import os
from dataclasses import replace

from distill.config.training_jobs import SignalsConf
from distill.files.atomic import write_atomic
from distill.judge.scoring import require_judgeable
from distill.nightly.drop_signals import DropSignals
from distill.nightly.frozen import parts_of
from distill.nightly.manifest import MANIFEST, read_manifest
from distill.nightly.pipeline import Done, Records
from distill.nightly.results import SignalsResult
from distill.nightly.service_folder import SIGNALS, last_finished
from distill.nightly.stages.student import data_conf
from distill.nightly.task import Task, benchmark_files
from distill.nightly.vet import vet
from distill.nightly.vetting_result import VERDICTS, Verdicts, read_verdicts, write_verdicts


def freeze_stage(task: Task) -> Done:
    """Write down which images there are, by their contents."""
    require_judgeable(benchmark_files(task.conf), task.conf.judge)  # now, and not when a student is trained
    path = task.night.folder / MANIFEST
    write_atomic(path, task.manifest.to_json().encode())
    return Done(task.manifest.summary(), [path])


def signals_stage(task: Task) -> Done:
    """Compute and store teacher outputs for new images only."""
    if not _has_teacher(task):
        return Done(SignalsResult())
    stores, made = _signals(task).write(parts_of(task.manifest))
    files = [path for store in stores for path in sorted(store.iterdir()) if not path.name.startswith(".")]
    return Done(replace(made, stores=[os.path.relpath(store, task.root) for store in stores]), files)


def vet_stage(task: Task, done: Records) -> Done:
    """Which labels are to be doubted; then the signals of all drops as one store."""
    stores = [task.root / name for name in SignalsResult.of(done).stores]
    verdicts = vet(task.manifest, _before(task), stores, task.conf.vetting)
    write_verdicts(task.night.folder, verdicts)
    files = [task.night.folder / VERDICTS]
    if stores:
        files += sorted(_signals(task).join(task.night.folder, stores).iterdir())
    return Done(verdicts.summary(), files)


def _before(task: Task) -> Verdicts | None:
    """The verdicts of the last finished night: what it doubts stays without its label."""
    last = last_finished(task.root)
    return None if last is None else read_verdicts(last.folder, read_manifest(last.folder))


def _has_teacher(task: Task) -> bool:
    return task.conf.teacher.network is not None or task.conf.teacher.weights is not None


def _signals(task: Task) -> DropSignals:
    conf = task.conf
    asked = SignalsConf(
        teacher=conf.teacher,
        data=data_conf(task),
        views=conf.views,
        maps=conf.maps,
        workers=conf.trainer.workers,
        seed=conf.seed,
    )
    return DropSignals(asked, task.root / SIGNALS, task.networks.teacher)
