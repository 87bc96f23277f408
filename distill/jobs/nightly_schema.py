"""Types of the configuration of ``make nightly``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from distill.jobs.schema import (
    DataConf,
    ExportConf,
    ObjectiveConf,
    ProtocolConf,
    StudentConf,
    TeacherConf,
    TrackingConf,
    TrainerConf,
    needed,
)


class Start(StrEnum):
    """What a night's student begins with."""

    champion = "champion"
    anew = "anew"


@dataclass
class VettingConf:
    """What makes a label doubtful, in robust standard deviations (1.4826 MAD) of the data themselves."""


@dataclass
class NightlyConf:
    """``make nightly``: retrain on what arrived, and put the student into service if it is fit and no worse."""

    drops: str = needed("the folder that holds a folder for each drop, e.g. drops=/data/drops (docs/nightly.md)")
    root: str = "nightly"
    """Folder of the service: nights, signals, registry, outbox."""
    benchmarks: str | None = None
    """A folder of frozen verification sets (.bin); null: those that lie in ``drops``."""
    start: Start = Start.champion
    """``champion``: go on from the champion's weights and class centres; ``anew``: train on everything from nothing."""
    replay: float = 1.0
    """Going on from the champion: the share of the old images that is shown again."""
    teacher: TeacherConf = field(default_factory=TeacherConf)
    student: StudentConf = field(default_factory=StudentConf)
    data: DataConf = field(default_factory=DataConf)
    objective: ObjectiveConf = field(default_factory=ObjectiveConf)
    protocol: ProtocolConf = field(default_factory=ProtocolConf)
    trainer: TrainerConf = field(default_factory=TrainerConf)
    """Of a student that begins anew, and of the first night."""
    continued: TrainerConf = field(default_factory=TrainerConf)
    """Of a student that goes on from the champion."""
    tracking: TrackingConf = field(default_factory=TrackingConf)
    export: ExportConf = field(default_factory=ExportConf)
    seed: int = 1
