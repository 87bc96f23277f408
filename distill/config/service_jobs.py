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
    """How far from the usual a similarity has to be for a label to be doubted, in standard deviations."""

    own: float = 2.5
    """Below what a picture has with its own person."""
    other: float = 2.5
    """Above what pictures, or two people, have with the nearest other person."""
    split: float = 2.0
    """Two people are one if they are not so far below what a person's pictures have among each other."""
    least: int = 10
    """Similarities that tell what is usual; with fewer nothing is doubted."""

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
    """``make nightly``: retrain on what arrived, and put the student into service if it is fit and no worse."""

    drops: str = needed_path("the folder that holds a folder for each drop, e.g. drops=/data/drops (docs/drops.md)")
    root: str = path("nightly")
    """Folder of the service: nights, signals, registry, outbox."""
    benchmarks: str | None = path()
    """A folder of frozen verification sets (.bin); null: those that lie in ``drops``."""
    start: Start = Start.champion
    """``champion``: go on from the champion's weights and class centres; ``anew``: train on everything from nothing."""
    replay: float = 1.0
    """Going on from the champion: the share of the images it knows that is shown again."""
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
    """Of a student trained from scratch, as in the first night."""
    continued: TrainerConf = field(default_factory=TrainerConf)
    """Of a student with a warm start from the champion."""
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
    """How many of the last events are shown."""
    prune: bool = False
    """Remove versions, but for the champion, the previous one, and those that the next two keep."""
    newest: int = 10
    """How many of the newest versions stay."""
    champions: int = 5
    """How many of the versions that were champion last stay."""
    sign: bool = False
    """Sign the versions that have no signature."""
    signing: SigningConf = field(default_factory=SigningConf)


@dataclass
class RollbackConf:
    """``make rollback``: put the version that was in service before, or another one, into service again."""

    root: str = path("nightly")
    """Folder of the service; the registry is ``registry`` in it."""
    to: str | None = None
    """The version, e.g. to=v0007; null: the previous one."""
    why: str | None = None
    """A sentence for the history."""
    signing: SigningConf = field(default_factory=SigningConf)
    tracking: WandbSettings = field(default_factory=WandbSettings)
    """Where W&B is told of it; with ``none`` the next night tells it."""


@dataclass
class NightsConf:
    """``make nights``: history of nightly runs, in the terminal and as one page."""

    root: str = path("nightly")
    """The folder of the service."""
    out: str = path("nights.html")
    """Its links lead from here to the nights' reports, so keep it beside them to pass both on."""
