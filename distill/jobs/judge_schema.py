"""Types of the configuration of the judge, for its own job and for whoever else promotes models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from distill.jobs.schema import PATHS, ProtocolConf, needed_path, path
from distill.metrics.paired import Metric


@dataclass
class MarginsConf:
    """By how much each figure may be worse: fractions."""

    accuracy: float = 0.03
    auc: float = 0.01
    tpr_at_fpr: float = 0.05


@dataclass
class JudgeConf:
    """What a challenger has to show (docs/judge.md)."""

    main: Metric = Metric.auc
    """The figure by which it has to be better, or equal with newer data: auc, accuracy, or tpr_at_fpr."""
    main_set: str | None = None
    """The set where it has to be; null: the first one."""
    fpr: float = 0.01
    """That ``tpr_at_fpr`` is taken at; a set needs thirty impostor pairs above it."""
    floor: float = 0.7
    """That the main figure has to reach, with a champion or without."""
    anchor: str | None = path()
    """An ONNX file or a run folder that no challenger may be worse than, by more than ``margin``, whatever the champion
    has become; null: none."""
    margin: MarginsConf = field(default_factory=MarginsConf)
    """On whole sets."""
    slice_margin: MarginsConf = field(default_factory=lambda: MarginsConf(accuracy=0.05, auc=0.03, tpr_at_fpr=0.1))
    """On each slice of a set."""
    confidence: float = 0.95
    """Of each end of an interval: how seldom a model that is worse by more than a margin passes."""
    resamples: int = 1000
    seed: int = 0
    """Of the resamplings; 0 is that of every report."""


@dataclass
class JudgeJobConf:
    """``make judge``: would this challenger replace this champion, and why."""

    challenger: str = needed_path("an ONNX file or a run folder, e.g. challenger=runs/latest")
    champion: str | None = path()
    """Another one; null: there is none yet, and the floor decides."""
    pairs: Any = field(
        default=MISSING,
        metadata={"what": "verification sets, e.g. pairs=lfw.bin, pairs=[lfw.bin,cfp_fp.bin] or pairs=FOLDER", **PATHS},
    )
    newer_data: bool = False
    """Whether the challenger knows newer data, so that equal quality is enough."""
    judge: JudgeConf = field(default_factory=JudgeConf)
    protocol: ProtocolConf = field(default_factory=ProtocolConf)
    out: str | None = path()
    """Folder of judge.json; null: that of the challenger."""
    batch_size: int = 64
