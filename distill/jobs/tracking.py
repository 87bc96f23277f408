"""The W&B run of a run folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distill.jobs.run_folder import RunFolder
from distill.jobs.schema import TrackingConf
from distill.tracking.wandb_run import WandbRun
from distill.tracking.wandb_settings import WandbSettings


@contextmanager
def tracked(folder: RunFolder, tracking: TrackingConf, conf: Any) -> Iterator[WandbRun]:
    """Open the W&B run, and close it with the status that the work inside ended with."""
    run = WandbRun(folder.path, to_settings(tracking), dataclasses.asdict(conf))
    try:
        yield run
    except BaseException:
        run.finish(1)
        raise
    run.finish(0)


def to_settings(tracking: TrackingConf) -> WandbSettings:
    """The configuration as ``distill.tracking`` takes it."""
    return WandbSettings(
        mode=tracking.mode.value,
        project=tracking.project,
        entity=tracking.entity,
        group=tracking.group,
        name=tracking.name,
        tags=tuple(tracking.tags),
        notes=tracking.notes,
        job_type=tracking.job_type,
        dir=tracking.dir,
        id=tracking.id,
        resume=tracking.resume,
    )
