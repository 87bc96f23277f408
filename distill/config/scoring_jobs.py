"""Types of the configuration of the jobs that score what is there: pairs, lists, all pairs of features, IJB, curves."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from distill.config.groups import PATHS, FaceKind, FrameFusion, ProtocolConf, needed_path, path
from distill.errors import UserError
from distill.metrics.paired import Metric

LEAST_IN_A_TAIL = 5
"""Resamples beyond each end of an interval."""


@dataclass
class VerifyConf:
    """``make verify``: score an ONNX file or the student of a run on verification pairs."""

    model: str = needed_path("an ONNX file or a run folder, e.g. model=student.onnx or model=runs/latest")
    pairs: Any = field(
        default=MISSING,
        metadata={"what": "verification sets, e.g. pairs=lfw.bin, pairs=[lfw.bin,cfp_fp.bin] or pairs=FOLDER", **PATHS},
    )
    out: str | None = path()
    """Folder of verify.json; null: that of the model."""
    folds: int = 10
    """Folds of the cross-validation: contiguous pairs, each scored at the threshold of the others."""
    batch_size: int = 64
    """Images in one forward pass."""
    max_damaged: int = 10
    """Images that cannot be read and are left out, each named, before the job stops."""
    bootstrap: int = 1000
    """Bootstrap resamples behind each confidence interval."""
    seed: int = 0
    """Seed of the bootstrap; reports use 0."""


class IjbTask(StrEnum):
    verify = "verify"
    identify = "identify"


@dataclass
class IjbDataConf:
    """The benchmark's own files."""

    root: str = needed_path("the folder of IJB-B or IJB-C with meta and loose_crop in it, e.g. data.root=/data/IJBC")


@dataclass
class IjbConf:
    """``make ijb``: score an ONNX file or the student of a run on IJB-B or IJB-C, 1:1 or 1:N."""

    model: str = needed_path("an ONNX file or a run folder, e.g. model=student.onnx or model=runs/latest")
    data: IjbDataConf = field(default_factory=IjbDataConf)
    task: IjbTask = IjbTask.verify
    """``verify``: 1:1, TPR at FPR; ``identify``: 1:N, DIR at FAR and ranks."""
    out: str | None = path()
    """Folder for figures and template features; null: that of the model."""
    flip: bool = True
    """Add the embedding of each crop's mirror image."""
    detector_score: bool = True
    """Weigh each image by the detector's score."""
    batch_size: int = 64
    """Images in one forward pass."""
    max_damaged: int = 10
    """Images that cannot be read and are left out, each named, before the job stops."""
    bootstrap: int = 200
    """Bootstrap resamples of persons behind each confidence interval."""
    seed: int = 0
    """Seed of the bootstrap."""


@dataclass
class EmbedConf:
    """``make embed``: the feature file of a list of images or videos, as the challenge takes it."""

    model: str = needed_path("an ONNX file or a run folder, e.g. model=runs/latest")
    list: str = needed_path("the file with one image or video a line, e.g. list=filelist.txt")
    root: str | None = path()
    """Folder that the paths in the list start from; null: that of the list."""
    links: bool = False
    """Whether links may lead out of ``root``."""
    out: str = needed_path("the feature file to write, e.g. out=features.bin")
    kind: FaceKind = FaceKind.image
    """What a line of the list names: image, or video (a folder of frames or a video file)."""
    flip: bool | None = None
    """Whether the embedding of the mirror image is added; null: as the challenge does, for images."""
    fusion: FrameFusion = FrameFusion.mean
    """How the frames of a video are fused: ``mean`` of unit vectors; ``norm``, weighted by the embeddings' lengths;
    ``network``, weighted by ``frame_quality``; ``qan``, by its min-max within the video, embeddings as they are."""
    consensus: bool = False
    """Whether a frame of a video also counts by how far it agrees with the others."""
    frame_quality: str | None = path()
    """The ONNX file that weighs frames, ``frame_quality.onnx`` of a run; with ``fusion=network`` or ``qan``."""
    batch_size: int = 64
    """Images in one forward pass."""
    max_damaged: int = 10
    """Images that cannot be read and are left out, each named, before the job stops."""
    fresh: bool = False
    """Overwrite a file of another model or list, finished or not."""


@dataclass
class LabelledFeaturesConf:
    """The labelled set that feature files are of, in the challenge's layout."""

    root: str | None = path()
    """Folder of ``list`` and ``labels``."""
    list: str = path("filelist.txt")
    """File below ``root`` with an image or video a line."""
    labels: str = path("labels.txt")
    """File below ``root`` with a person's label a line."""


@dataclass
class LabelledListConf(LabelledFeaturesConf):
    """A labelled set in the challenge's layout: faces below ``root``, and two files in it with a line for each."""

    root: str = needed_path("the folder with filelist.txt and labels.txt, e.g. data.root=DIR (docs/features.md)")
    links: bool = False
    """Whether links may lead out of ``root``."""


@dataclass
class EvaluateConf:
    """``make evaluate``: features, score and limits of an ONNX file, by one protocol of the challenge."""

    model: str = needed_path("an ONNX file or a run folder, e.g. model=runs/latest")
    data: LabelledListConf = field(default_factory=LabelledListConf)
    protocol: ProtocolConf = field(default_factory=ProtocolConf)
    out: str | None = path()
    """Folder; null: ``evaluation-PROTOCOL`` beside the model."""
    batch_size: int = 64
    """Images in one forward pass."""
    max_damaged: int = 10
    """Images that cannot be read and are left out, each named, before the job stops."""
    consensus: bool = False
    """Whether a frame of a video also counts by how far it agrees with the others."""
    frame_quality: str | None = path()
    """The ONNX file that weighs frames, with ``protocol.fusion=network`` or ``qan``."""
    fresh: bool = False
    """Overwrite the features in ``out`` if they are of another model or list."""
    bootstrap: int = 1000
    """Bootstrap resamples of persons behind each confidence interval."""
    seed: int = 0
    """Seed of the bootstrap."""
    max_memory_bytes: int = 2 << 30
    """Memory limit for scoring the pairs."""
    device: str = "cpu"
    """Where pairs are multiplied, e.g. cuda."""


@dataclass
class ScoreConf:
    """``make score``: exact TPR at FPR over all pairs of features, of one set or of gallery and probes."""

    features: str = needed_path("a feature file or float32 .npy, e.g. features=features.bin")
    labels: str = needed_path("a text file with a person's label a line, - for a distractor, e.g. labels=labels.txt")
    probes: str | None = path()
    """Further features: pairs are then those of ``features``, the gallery, with these."""
    probe_labels: str | None = path()
    """Labels of ``probes``, a line each."""
    fprs: list[float] | None = None
    """False positive rates; null: 1e-1 to 1e-8, and lower decades as far as the pairs support them."""
    bootstrap: int = 1000
    """Bootstrap resamples of persons behind each confidence interval; 0: no interval."""
    seed: int = 0
    """Seed of the bootstrap."""
    max_memory_bytes: int = 2 << 30
    """Memory limit for scoring the pairs."""
    device: str = "cpu"
    """Where pairs are multiplied, e.g. cuda."""
    work: str | None = path()
    """Folder of finished blocks: a killed run continues there, and several processes share the work."""
    out: str = path("score.json")
    """The JSON file to write."""


@dataclass
class CurvesConf:
    """``make curves``: models compared on one page. What names files takes one, or a list."""

    models: Any = field(default=None, metadata=PATHS)
    """ONNX files or run folders, scored on ``pairs``."""
    pairs: Any = field(default=None, metadata=PATHS)
    """Verification sets (.bin)."""
    evaluations: Any = field(default=None, metadata=PATHS)
    """Folders that ``make evaluate`` wrote, or their evaluation.json."""
    features: Any = field(default=None, metadata=PATHS)
    """Feature files of the set that ``data`` names, one for each model."""
    data: LabelledFeaturesConf = field(default_factory=LabelledFeaturesConf)
    kind: FaceKind = FaceKind.image
    """What the lines of ``data.list`` are."""
    fprs: list[float] = field(default_factory=list)
    """False positive rates of the threshold tables; []: 0.1, 0.01, and so on, as far as the pairs support them."""
    every_pair: bool = True
    """Second pass over all pairs of a labelled set, for the full curve, histogram and hardest pairs."""
    hardest: int = 8
    """Pairs of each kind that are shown for each model."""
    show_faces: bool = False
    """Show the pictures of these pairs; only where the people in them permit it."""
    out: str = path("curves.html")
    """The HTML page to write."""
    batch_size: int = 64
    """Images in one forward pass."""
    max_damaged: int = 10
    """Images of ``pairs`` that cannot be read and are left out, each named, before the job stops."""
    bootstrap: int = 1000
    """Bootstrap resamples behind each band."""
    seed: int = 0
    """Seed of the bootstrap; reports use 0."""
    max_memory_bytes: int = 2 << 30
    """Memory limit for scoring the pairs of a labelled set."""
    device: str = "cpu"
    """Where these pairs are multiplied for their thresholds, e.g. cuda."""


@dataclass
class MarginsConf:
    """Non-inferiority margins: by how much each figure may be worse, as a fraction."""

    accuracy: float = 0.03
    """Margin of the accuracy."""
    auc: float = 0.01
    """Margin of the ROC AUC."""
    tpr_at_fpr: float = 0.05
    """Margin of the TPR at ``target_fpr``."""

    def of(self, metric: Metric) -> float:
        return getattr(self, metric.value)


@dataclass
class JudgeConf:
    """Rules of the non-inferiority test of a challenger (docs/judge.md)."""

    main: Metric = Metric.auc
    """Main figure, in which the challenger has to be better, or equal with newer data: auc, accuracy or tpr_at_fpr."""
    main_set: str | None = None
    """Set of the main figure; null: the first one."""
    fpr: float = 0.01
    """False positive rate of ``tpr_at_fpr``; a set needs thirty impostor pairs above it."""
    floor: float = 0.7
    """Score that the main figure has to reach, with a champion or without."""
    anchor: str | None = path()
    """A fixed ONNX file or run folder that no challenger may be worse than by more than ``margin``; null: none."""
    margin: MarginsConf = field(default_factory=MarginsConf)
    """Non-inferiority margins on complete sets."""
    slice_margin: MarginsConf = field(default_factory=lambda: MarginsConf(accuracy=0.05, auc=0.03, tpr_at_fpr=0.1))
    """Non-inferiority margins on each slice of a set (docs/judge.md)."""
    confidence: float = 0.95
    """Confidence of each one-sided bound: a model that is worse by more than a margin passes this seldom."""
    resamples: int = 1000
    """Bootstrap resamples behind each interval."""
    seed: int = 0
    """Seed of the bootstrap; reports use 0."""

    def __post_init__(self) -> None:
        for name, margins in (("margin", self.margin), ("slice_margin", self.slice_margin)):
            for metric in Metric:
                _require(f"{name}.{metric}", margins.of(metric), 0 < margins.of(metric) < 1, "between 0 and 1")
        _require("target_fpr", self.fpr, 0 < self.fpr < 1, "between 0 and 1")
        _require("min_score", self.floor, 0 < self.floor < 1, "between 0 and 1")
        _require("confidence", self.confidence, 0.5 < self.confidence < 1, "between 0.5 and 1")
        _require("seed", self.seed, self.seed >= 0, "that is not negative")
        least = round(LEAST_IN_A_TAIL / (1 - self.confidence))
        _require("resamples", self.resamples, self.resamples >= least, f"of {least} or more at this confidence")

    def name_of(self, metric: Metric) -> str:
        """The metric as figures are named, with its FPR where it has one."""
        return f"{metric}_{self.fpr:g}" if metric is Metric.tpr_at_fpr else metric.value


def _require(name: str, value: float, good: bool, expected: str) -> None:
    if not good:
        raise UserError(f"judge.{name} is {value:g}; expected a number {expected}")


@dataclass
class JudgeJobConf:
    """``make judge``: whether this challenger would replace this champion, with reasons."""

    challenger: str = needed_path("an ONNX file or a run folder, e.g. challenger=runs/latest")
    champion: str | None = path()
    """An ONNX file or a run folder; null: no champion yet, and ``judge.min_score`` decides."""
    pairs: Any = field(
        default=MISSING,
        metadata={"what": "verification sets, e.g. pairs=lfw.bin, pairs=[lfw.bin,cfp_fp.bin] or pairs=FOLDER", **PATHS},
    )
    newer_data: bool = False
    """Whether the challenger was trained on newer data, so that equal quality is enough."""
    judge: JudgeConf = field(default_factory=JudgeConf)
    protocol: ProtocolConf = field(default_factory=ProtocolConf)
    out: str | None = path()
    """Folder of judge.json; null: that of the challenger."""
    batch_size: int = 64
    """Images in one forward pass."""
