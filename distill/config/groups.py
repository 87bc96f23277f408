"""The configuration's types: one dataclass for each group, one for each job; what is not named here is a typo.

Hydra merges the YAML files over these classes, so a misspelt key or a value of another type is refused wherever it
stands, experiment files included. What a component takes as its settings is its schema and stands beside it, as the
optimiser's does in ``distill.training.settings``. ``network``, ``loss``, ``reader`` and ``augment`` hold a
``_target_`` and its options; these are checked against the target's signature by ``distill.config.build``.

``null`` in the trainer means: the fastest correct choice for the machine that the run finds itself on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from distill.protocol.published import Published
from distill.training.settings import LearningRate, OptimizerSettings

PATH: Mapping[str, Any] = {"path": True}
"""Of a field that names files or folders: ``~`` at the start of its value is the home folder."""
PATHS: Mapping[str, Any] = {**PATH, "one_or_more": True}
"""Of a field of type Any that takes a path or a list of them."""


def needed_path(what: str) -> Any:
    """A path that has no default."""
    return field(default=MISSING, metadata={"what": what, **PATH})


def path(default: str | None = None) -> Any:
    """A path that need not be given."""
    return field(default=default, metadata=PATH)


IDLE = {"idle": True}
"""Of an option that changes nothing about what a run makes: it is in no run's name, and may change in its midst."""


def idle(default: Any = MISSING) -> Any:
    """An option that changes nothing about what a run makes."""
    return field(default=default, metadata=IDLE)


LATER = {"later": True}
"""Of an option that came after the first runs were named: while it is null it is in no run's name."""


class Precision(StrEnum):
    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class WeightLayout(StrEnum):
    facexzoo = "facexzoo"
    treb1en = "treb1en"
    cavaface = "cavaface"
    adaface = "adaface"
    trojans = "trojans"


class FaceKind(StrEnum):
    image = "image"
    video = "video"


class FrameFusion(StrEnum):
    mean = "mean"
    norm = "norm"
    network = "network"
    qan = "qan"


@dataclass
class TeacherConf:
    """The network whose outputs the student learns from: its weights, and how it is run."""

    name: str = MISSING
    """Name of the teacher in run folders and pages."""
    network: dict[str, Any] | None = None
    """``_target_`` and options of a network in ``teachers``; null where the weights are an ONNX file."""
    weights: str | None = needed_path("the teacher's ONNX file, e.g. teacher.weights=teacher.onnx")
    """A weights file for ``network``, else an ONNX file; with neither there is no teacher."""
    card: str | None = path()
    """The teacher's card; null: the card.yaml beside the weights."""
    check: bool = idle(True)
    """Try the teacher on verification pairs before the run."""
    precision: Precision = Precision.auto
    """Arithmetic of its forward passes: fp32, bf16, fp16, or auto for the machine at hand."""
    preprocessing: Any = None
    """Options of ``distill.types.Preprocessing``; null: those of the file's metadata or the card."""
    layout: WeightLayout | None = field(default=None, metadata=LATER)
    """Whose names the weights have, for public weights of ``network``; null: our own, for IResNet arcface_torch's."""


@dataclass
class StudentConf:
    """The network that is trained, and what it starts from."""

    name: str = MISSING
    """Name of the student in run folders and pages."""
    network: dict[str, Any] = MISSING
    """``_target_`` and options of a network in ``distill.students``."""
    init: str | None = path()
    """Warm start: a run folder or a weights file (recursive distillation)."""
    centres: str | None = path()
    """Warm start of the class centres beside ``init``: a run folder or its centres.safetensors (continual training)."""


@dataclass
class DataConf:
    """The faces to train on, how they are read and augmented, and the verification pairs beside them."""

    name: str = MISSING
    """Name of the set in run folders and pages."""
    root: str = needed_path("the folder with the faces, e.g. data.root=/data/faces (README.md)")
    reader: dict[str, Any] = MISSING
    """``_target_`` and options of the class that reads the files."""
    transfer: list[str] = field(default_factory=list, metadata=PATH)
    """Folders of further sets, whose labels are not used."""
    image_steps: int = idle(120_000)
    """Run length in samples seen that suits this set; ``trainer.images`` takes it by default."""
    pairs: str | None = path()
    """A verification .bin, or a folder of them; null: every .bin in the root."""
    max_damaged: int = idle(10)
    """Damaged images that are skipped, each named, before the run stops."""
    pictures: bool = idle(False)
    """Whether the licence of the set permits example pairs in the report."""
    augment: dict[str, Any] = field(default_factory=dict)
    """``_target_`` and options of the random changes to each training image; empty: none."""


@dataclass
class TermConf:
    """One named loss, whose weight rises over ``warmup_fraction`` of the run and falls to ``final_factor`` of itself
    from ``decay_from_fraction`` on."""

    loss: dict[str, Any] = MISSING
    """``_target_`` and options of a loss in ``distill.losses``."""
    weight: float = 1.0
    """Factor of this term in the sum."""
    warmup_fraction: float = 0.0
    """Warm-up of the weight from 0, as a part of the run."""
    decay_from_fraction: float = 1.0
    """Part of the run after which the weight falls; 1: never."""
    final_factor: float = 1.0
    """Weight at the end of the run, in parts of ``weight``."""


@dataclass
class ObjectiveConf:
    """The loss terms whose weighted sum is minimised."""

    name: str = idle()
    """Name of the objective in run folders and pages."""
    terms: dict[str, TermConf] = field(default_factory=dict)
    """Loss terms by name; each has a loss, a weight, and a schedule of that weight."""


@dataclass
class ProtocolConf:
    """One challenge protocol: its limits, its metric, how its features are made, and what others reached."""

    name: str = MISSING
    """Name of the protocol in files and pages."""
    kind: str = MISSING
    """What it compares: image or video."""
    source: str = MISSING
    """Where the limits are published."""
    max_flops: int = MISSING
    """Most FLOPs of a forward pass, as the challenge counts them."""
    max_file_bytes: int | None = MISSING
    """Largest ONNX file; null: no limit."""
    dtype: str = MISSING
    """Type of the features, e.g. float32."""
    embedding_dim: int = MISSING
    """Width of the embedding that the protocol asks for."""
    far_target: float = MISSING
    """False positive rate at which the TPR is scored."""
    flip: bool = True
    """Whether the embedding of the mirror image is added."""
    fusion: FrameFusion | None = None
    """How the frames of a video are fused: mean, norm, network or qan; null for still images."""
    published: list[Published] = field(default_factory=list)
    """Scores that others published for this protocol."""


@dataclass
class TrainerConf:
    """Length, batches, optimiser and machine of a training run; null: the fastest correct choice for the machine."""

    name: str = idle()
    """Name of the trainer in run folders and pages."""
    images: int | None = None
    """Length of the run in samples seen (batch size x steps); or give ``epochs``. Exactly one of the two is set."""
    epochs: float | None = None
    """Length of the run in passes over the set; with ``images=null``."""
    batch_size: int = 64
    """Images in one forward pass; an optimiser step sees ``batch_size`` times ``accumulate``."""
    accumulate: int = 1
    """Forward passes whose gradients are added up for one optimiser step."""
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: LearningRate = field(default_factory=LearningRate)
    small_px: int = 80
    """Side of the crops that the trained network sees for the first ``small_fraction`` of the run."""
    small_fraction: float = 0.0
    """Part of the run, from its start, that is trained on small crops; 0: none."""
    gradient_clip: float | None = 5.0
    """Gradient clipping: largest norm; null: not clipped."""
    ema_decay: float = 0.0
    """Decay of the exponential moving average of the weights; 0: no average."""
    max_loss_growth: float = idle(10.0)
    """Divergence check: a loss this many times its recent value stops the run."""
    precision: Precision = Precision.auto
    """Arithmetic of training: fp32, bf16, fp16, or auto for the machine at hand."""
    channels_last: bool | None = None
    """Memory layout of images and maps; null: as suits the machine."""
    compile: bool | None = None
    """Compile the student's step with torch.compile; null: where that saves time."""
    workers: int | None = idle(None)
    """Processes that load images; null: as suits the machine."""
    checkpoint_every_steps: int = idle(200)
    """Optimiser steps between checkpoints, from which a stopped run resumes."""
    validate_every_steps: int = idle(500)
    """Optimiser steps between scores on the verification pairs."""
    validate_pairs: int = idle(300)
    """Pairs of each set that are scored during training; the end of a run scores all of them."""


@dataclass
class ExportConf:
    """How the ONNX file is written and how close it has to be to PyTorch."""

    opset: int = 18
    """ONNX operator set."""
    max_relative_difference: float = 1e-4
    """Largest difference between ONNX and PyTorch, relative to the largest value in the embedding."""
    max_cosine_difference: float = 1e-5
    """Largest difference of cosines between embeddings of ONNX and PyTorch."""
    parity_images: int = 16
    """Images on which ONNX and PyTorch are compared."""


@dataclass
class RunConf:
    """The run folder: where it is, what it is called, and whether an unfinished run is resumed."""

    root: str = path("runs")
    """Folder of all runs."""
    name: str | None = None
    """Folder below ``root``; null: made of the choices and a hash of the configuration, so the same command resumes."""
    fresh: bool = False
    """Start from scratch even if an unfinished run of this configuration could be resumed."""
