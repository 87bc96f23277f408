"""Types of the configuration of ``make nightly``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from distill.config.groups import (
    PATH,
    DataConf,
    ExportConf,
    ObjectiveConf,
    ProtocolConf,
    StudentConf,
    TeacherConf,
    TrainerConf,
    needed_path,
    path,
)
from distill.config.scoring_jobs import JudgeConf
from distill.errors import UserError
from distill.registry.policy import Policy
from distill.tracking.wandb_settings import WandbSettings


class Start(StrEnum):
    """What a night's student begins with."""

    champion = "champion"
    anew = "anew"


@dataclass
class VettingConf:
    """Label noise: how far from the usual similarity a label is doubted, in standard deviations."""

    own: float = 2.5
    """Below the usual similarity of a picture to its own person."""
    other: float = 2.5
    """Above the usual similarity of pictures, or of two people, to the nearest other person."""
    split: float = 2.0
    """Two people count as one unless they are this far below the usual similarity within a person."""
    least: int = 10
    """Fewest similarities that the usual one is estimated from; with fewer no label is doubted."""

    def __post_init__(self) -> None:
        for name in ("own", "other", "split"):
            if not getattr(self, name) > 0:
                raise UserError(f"vetting.{name} is {getattr(self, name)}; expected a number of deviations above 0")
        if self.least < 2:
            raise UserError(f"vetting.least is {self.least}; expected at least 2")


@dataclass
class SigningConf:
    """Ed25519 keys in PEM files (docs/registry.md); without any, nothing is signed and no signature asked for."""

    key: str | None = path()
    """The private key that signs new versions; its file has mode 0600."""
    trusted: list[str] = field(default_factory=list, metadata=PATH)
    """Public keys whose signatures count beside the signing key's own."""


@dataclass
class NightlyConf:
    """``make nightly``: retrain on new data; promote the student if it passes and is non-inferior."""

    drops: str = needed_path("the folder that holds a folder for each drop, e.g. drops=/data/drops (docs/drops.md)")
    root: str = path("nightly")
    """Folder of the service: nights, signals, registry, outbox."""
    benchmarks: str | None = path()
    """A folder of frozen verification sets (.bin); null: the .bin files in ``drops``."""
    start: Start = Start.champion
    """``champion``: warm start from its weights and class centres; ``scratch``: train on all data from scratch."""
    replay: float = 1.0
    """Rehearsal in a warm start: the share of the champion's training images that is shown again."""
    maps: list[str] = field(default_factory=list)
    """Maps of the teacher whose spatial attention is stored, e.g. [stage3, stage4]."""
    views: int = 0
    """Stored views of each image, as ``make signals`` takes them; 0: the image and its mirror image."""
    teacher: TeacherConf = field(default_factory=TeacherConf)
    student: StudentConf = field(default_factory=StudentConf)
    data: DataConf = field(default_factory=DataConf)
    objective: ObjectiveConf = field(default_factory=ObjectiveConf)
    protocol: ProtocolConf = field(default_factory=ProtocolConf)
    trainer: TrainerConf = field(default_factory=TrainerConf)
    """Trainer of a student from scratch, as in the first night."""
    continued: TrainerConf = field(default_factory=TrainerConf)
    """Trainer of a student with a warm start from the champion."""
    vetting: VettingConf = field(default_factory=VettingConf)
    judge: JudgeConf = field(default_factory=JudgeConf)
    keep: Policy = field(default_factory=Policy)
    signing: SigningConf = field(default_factory=SigningConf)
    tracking: WandbSettings = field(default_factory=WandbSettings)
    export: ExportConf = field(default_factory=ExportConf)
    seed: int = 1
    """Seed of initialisation, order of images and augmentation."""


@dataclass
class RegistryConf:
    """``make registry``: list the versions of a service and check every byte of them."""

    root: str = path("nightly")
    """Folder of the service; the registry is ``registry`` in it."""
    events: int = 10
    """Number of latest events shown."""
    prune: bool = False
    """Remove all versions except the champion, the previous one, and those that ``newest`` and ``champions`` keep."""
    newest: int = 10
    """Number of newest versions that pruning keeps."""
    champions: int = 5
    """Number of latest champions that pruning keeps."""
    sign: bool = False
    """Sign the versions that have no signature."""
    signing: SigningConf = field(default_factory=SigningConf)


@dataclass
class RollbackConf:
    """``make rollback``: put the previous version, or another one, into service again."""

    root: str = path("nightly")
    """Folder of the service; the registry is ``registry`` in it."""
    to: str | None = None
    """The version, e.g. to=v0007; null: the previous one."""
    why: str | None = None
    """Reason, one sentence for the history."""
    signing: SigningConf = field(default_factory=SigningConf)
    tracking: WandbSettings = field(default_factory=WandbSettings)
    """W&B run of the rollback; with ``none`` the next night reports it."""


@dataclass
class NightsConf:
    """``make nights``: history of nightly runs, in the terminal and as one page."""

    root: str = path("nightly")
    """The folder of the service."""
    out: str = path("nights.html")
    """The HTML page; its links to the nights' reports are relative, so move both together."""
