"""The configuration's types: one dataclass for each group, one for each job; what is not named here is a typo.

Hydra merges the YAML files over these classes, so a misspelt key or a value of another type is refused wherever it
stands, experiment files included. ``network``, ``loss``, ``reader`` and ``augment`` hold a ``_target_`` and its
options; the options are checked against the target's signature by ``distill.config.build``.

``null`` in the trainer means: the fastest correct choice for the machine that the run finds itself on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

PATH: Mapping[str, Any] = {"path": True}
"""Of a field that names files or folders: ``~`` at the start of its value is the home folder."""
PATHS: Mapping[str, Any] = {**PATH, "one_or_more": True}
"""Of a field of type Any that takes a path or a list of them."""


def needed(what: str) -> Any:
    """A field that has no default; ``what`` is the sentence shown to the user who leaves it out."""
    return field(default=MISSING, metadata={"what": what})


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


class Precision(StrEnum):
    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class OptimizerName(StrEnum):
    sgd = "sgd"
    adamw = "adamw"
    muon = "muon"


class ScheduleKind(StrEnum):
    cosine = "cosine"
    multistep = "multistep"


class FaceKind(StrEnum):
    image = "image"
    video = "video"


class FrameFusion(StrEnum):
    mean = "mean"
    norm = "norm"
    network = "network"


class TrackingMode(StrEnum):
    offline = "offline"
    online = "online"
    disabled = "disabled"


@dataclass
class TeacherConf:
    name: str = MISSING
    network: dict[str, Any] | None = None
    """``_target_`` and options of a network in ``teachers``; null where the weights are an ONNX file."""
    weights: str | None = needed_path("the teacher's ONNX file, e.g. teacher.weights=teacher.onnx")
    """A weights file for ``network``, else an ONNX file; with neither there is no teacher."""
    card: str | None = path()
    check: bool = idle(True)
    """Try the teacher on verification pairs before the run."""
    precision: Precision = Precision.auto
    preprocessing: Any = None
    """Options of ``distill.types.Preprocessing`` in place of what the file's metadata or the card says."""


@dataclass
class StudentConf:
    name: str = MISSING
    network: dict[str, Any] = MISSING
    init: str | None = path()
    """A run folder or a weights file to start from (recursive distillation)."""
    centres: str | None = path()
    """A run folder or its centres.safetensors: class centres to start from beside ``init`` (continual training)."""


@dataclass
class DataConf:
    name: str = MISSING
    root: str = needed_path("the folder with the faces, e.g. data.root=/data/faces (README: 'A worked example')")
    reader: dict[str, Any] = MISSING
    transfer: list[str] = field(default_factory=list, metadata=PATH)
    """Folders of further sets, whose labels are not used."""
    image_steps: int = idle(120_000)
    """Length of a run that suits the set, for trainers that do not say otherwise."""
    pairs: str | None = path()
    """A verification .bin, or a folder of them; null: every .bin in the root."""
    max_damaged: int = idle(10)
    """Damaged records that are skipped before the run stops."""
    pictures: bool = idle(False)
    """Whether the data set permits example pairs in the report."""
    augment: dict[str, Any] = field(default_factory=dict)


@dataclass
class TermConf:
    """One named loss, whose weight rises over ``warmup_fraction`` of the run and falls to ``final_factor`` of itself
    from ``decay_from_fraction`` on."""

    loss: dict[str, Any] = MISSING
    weight: float = 1.0
    warmup_fraction: float = 0.0
    decay_from_fraction: float = 1.0
    final_factor: float = 1.0


@dataclass
class ObjectiveConf:
    name: str = idle()
    terms: dict[str, TermConf] = field(default_factory=dict)


@dataclass
class PublishedConf:
    """A score that somebody published for a protocol, and why it is not comparable where it is not."""

    who: str = MISSING
    place: int | None = None
    """On the leaderboard; null: not on it, or not confirmed."""
    tpr: float = MISSING
    """At the protocol's false positive rate."""
    source: str = MISSING
    comparable: bool = False
    reason: str = ""


@dataclass
class ProtocolConf:
    """One challenge protocol: its limits, its metric, how its features are made, and what others reached."""

    name: str = MISSING
    kind: str = MISSING
    source: str = MISSING
    max_flops: int = MISSING
    max_file_bytes: int | None = MISSING
    dtype: str = MISSING
    embedding_dim: int = MISSING
    far_target: float = MISSING
    flip: bool = True
    """Whether the embedding of the mirror image is added."""
    fusion: FrameFusion | None = None
    """Of the frames of a video; null for still images."""
    published: list[PublishedConf] = field(default_factory=list)


@dataclass
class OptimizerConf:
    """``betas`` belong to AdamW (and to what Muon leaves to it), ``momentum`` to SGD and Muon, ``nesterov`` to SGD."""

    name: OptimizerName = OptimizerName.adamw
    lr: float = 2e-3
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    nesterov: bool = False
    head_lr_factor: float = 0.1
    """Muon's rate for class centres and projectors, in parts of ``lr``."""
    bf16_products: bool | None = False
    """Whether Muon makes updates orthogonal in bfloat16, which large networks profit from. null: as passes are."""


@dataclass
class ScheduleConf:
    """Linear warm-up, then a cosine to ``final_factor`` or steps of ``gamma`` at ``milestones``; fractions of a run."""

    kind: ScheduleKind = ScheduleKind.cosine
    warmup_fraction: float = 0.1
    final_factor: float = 0.001
    milestones: list[float] = field(default_factory=lambda: [0.5, 0.75, 0.9])
    gamma: float = 0.1


@dataclass
class TrainerConf:
    name: str = idle()
    images: int | None = None
    """Length of the run in samples seen (batch size x steps); or give ``epochs``. Exactly one of the two is set."""
    epochs: float | None = None
    batch_size: int = 64
    """Images in one forward pass; an optimiser step sees ``batch_size`` times ``accumulate``."""
    accumulate: int = 1
    optimizer: OptimizerConf = field(default_factory=OptimizerConf)
    schedule: ScheduleConf = field(default_factory=ScheduleConf)
    small_px: int = 80
    """Side of the crops that the trained network sees for the first ``small_fraction`` of the run."""
    small_fraction: float = 0.0
    gradient_clip: float | None = 5.0
    ema_decay: float = 0.0
    """0 keeps no average of the weights."""
    max_loss_growth: float = idle(10.0)
    """A loss this many times its own recent value stops the run."""
    precision: Precision = Precision.auto
    channels_last: bool | None = None
    compile: bool | None = None
    workers: int | None = idle(None)
    checkpoint_every_steps: int = idle(200)
    validate_every_steps: int = idle(500)
    validate_pairs: int = idle(300)
    """Pairs of each set that are scored during training; the end of a run scores all of them."""


@dataclass
class TrackingConf:
    mode: TrackingMode = TrackingMode.offline
    project: str = "face-distill"
    entity: str | None = None
    group: str | None = None
    name: str | None = None
    """What W&B calls the run; null: the name of its folder."""
    tags: list[str] = field(default_factory=list)
    notes: str | None = None
    job_type: str | None = None
    dir: str | None = path()
    """Where W&B's own files go; null: the run folder."""
    id: str | None = None
    """Of a run that W&B knows already; null: made up for the run folder, and kept in it."""
    resume: str = "allow"
    """What W&B does where it knows the id, or does not: allow, must, never or auto."""


@dataclass
class ExportConf:
    """How the ONNX file is written and how close it has to be to PyTorch."""

    opset: int = 18
    max_relative_difference: float = 1e-4
    """Of the largest magnitude in the embedding."""
    max_cosine_difference: float = 1e-5
    parity_images: int = 16


@dataclass
class RunConf:
    root: str = path("runs")
    name: str | None = None
    """Folder below ``root``; null: made of the choices and a hash of the configuration, so the same command resumes."""
    fresh: bool = False
    """Start anew even where a run of this configuration can be continued."""
