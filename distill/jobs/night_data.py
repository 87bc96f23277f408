"""The data of a night: freeze, signals, vet."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from distill.atomic import write_atomic
from distill.jobs.drop_signals import DropSignals
from distill.jobs.night_student import data_conf
from distill.jobs.night_task import Task
from distill.jobs.schema import SignalsConf
from distill.jobs.vet_drops import vet
from distill.nightly.frozen import parts_of
from distill.nightly.manifest import MANIFEST
from distill.nightly.nights import SIGNALS, last_finished
from distill.nightly.stages import Done, Records
from distill.nightly.verdicts import VERDICTS, Verdicts, read_verdicts, write_verdicts
from distill.nightly.vetting import Limits

STORES = "stores"


def freeze_stage(task: Task) -> Done:
    """Write down which images there are, by their contents."""
    path = task.night.folder / MANIFEST
    write_atomic(path, task.manifest.to_json().encode())
    return Done(task.manifest.summary(), [path])
