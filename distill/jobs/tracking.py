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
    settings = dataclasses.replace(to_settings(tracking), name=folder.path.name)
    run = WandbRun(folder.path, settings, dataclasses.asdict(conf))
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
        tags=tuple(tracking.tags),
    )
