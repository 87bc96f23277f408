"""Types of the configuration of the jobs around the main one: teachers, their signals, export, check, and a sheet."""

from __future__ import annotations

from dataclasses import dataclass, field

from distill.config.groups import (
    IDLE,
    DataConf,
    ExportConf,
    ObjectiveConf,
    ProtocolConf,
    RunConf,
    StudentConf,
    TeacherConf,
    TrainerConf,
    idle,
    needed_path,
    path,
)
from distill.tracking.wandb_settings import WandbSettings


@dataclass
class SignalsConf:
    """``make signals``: run a teacher once over a set and store its outputs."""

    teacher: TeacherConf = field(default_factory=TeacherConf)
    data: DataConf = field(default_factory=DataConf)
    views: int = 0
    """0: each image and its mirror image; K: K augmented views of each image, drawn with ``seed``."""
    flip_sum: bool = False
    """Store one embedding for an image and its mirror image, their sum: half the space (docs/signals.md)."""
    maps: list[str] = field(default_factory=list)
    """Maps of the teacher whose spatial attention is stored, e.g. [stage3, stage4]."""
    out: str | None = path()
    """Folder; null: below ``signals``, named by teacher, data and a hash."""
    batch_images: int = 32
    """Images in one forward pass of the teacher."""
    workers: int | None = None
    """Processes that load images; null: as suits the machine."""
    seed: int = 1
    """Seed of the augmented views."""


@dataclass
class TeachConf:
    """``make teacher``: train a Large-protocol network with a margin loss, export and check it."""

    init: str | None = path()
    """Warm start: weights of the same network or of a shallower one."""
    init_teacher: str | None = idle(None)
    """The teacher whose weights ``init`` are; if they are missing it is trained first."""
    teacher: TeacherConf = field(default_factory=TeacherConf)
    data: DataConf = field(default_factory=DataConf)
    objective: ObjectiveConf = field(default_factory=ObjectiveConf)
    protocol: ProtocolConf = field(default_factory=ProtocolConf, metadata=IDLE)
    trainer: TrainerConf = field(default_factory=TrainerConf)
    tracking: WandbSettings = field(default_factory=WandbSettings, metadata=IDLE)
    export: ExportConf = field(default_factory=ExportConf, metadata=IDLE)
    run: RunConf = field(default_factory=RunConf, metadata=IDLE)
    seed: int = 1
    """Seed of initialisation, order of images and augmentation."""


@dataclass
class ExportJobConf:
    """``make export``: write the ONNX file of a run again, with its parity test and its verdict."""

    run: str = needed_path("a run folder, e.g. run=runs/latest")
    out: str | None = path()
    """Folder for the ONNX file and its proofs; null: the run folder."""
    protocol: ProtocolConf = field(default_factory=ProtocolConf)
    export: ExportConf = field(default_factory=ExportConf)


@dataclass
class CheckConf:
    """``make check model=FILE``: check an ONNX file against a protocol's limits."""

    model: str = needed_path("an ONNX file, e.g. model=student.onnx")
    protocol: ProtocolConf = field(default_factory=ProtocolConf)
    out: str | None = path()
    """Folder of check.json; null: that of the model."""


@dataclass
class ContactSheetConf:
    """``make faces``: a sheet of synthetic faces to look at."""

    people: int = 8
    """Rows of the sheet, a person each."""
    pictures: int = 10
    """Columns of the sheet, a picture of that person each."""
    seed: int = 1
    """Seed of the people."""
    side_px: int = 168
    """Side of one face; the data set has 112."""
    out: str = path("faces.png")
    """The PNG to write."""


@dataclass
class ReplayConf:
    """Rehearsal: which images of a set that has grown are shown; share=null: all of them."""

    share: float | None = None
    """Share of the old images that is shown again, from 0 to 1; all new ones are shown."""
    old_images: int | None = None
    """Number of old images: the first ones of the set."""
    night: int = 0
    """Number of the night; each night draws other old images."""


@dataclass
class DistillConf:
    """``make distill``: everything from images to a checked student."""

    teacher: TeacherConf = field(default_factory=TeacherConf)
    student: StudentConf = field(default_factory=StudentConf)
    data: DataConf = field(default_factory=DataConf)
    objective: ObjectiveConf = field(default_factory=ObjectiveConf)
    protocol: ProtocolConf = field(default_factory=ProtocolConf)
    trainer: TrainerConf = field(default_factory=TrainerConf)
    tracking: WandbSettings = field(default_factory=WandbSettings, metadata=IDLE)
    export: ExportConf = field(default_factory=ExportConf)
    run: RunConf = field(default_factory=RunConf, metadata=IDLE)
    replay: ReplayConf = field(default_factory=ReplayConf)
    generations: int = idle(1)
    """Recursive distillation: students one after the other, each from the weights of the one before."""
    signals: str = path("auto")
    """``auto``: the teacher's stored outputs where they match, else the live teacher; ``live``; or a folder."""
    seed: int = 1
    """Seed of initialisation, order of images and augmentation."""
