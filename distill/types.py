"""The few types that every part shares; this file imports no other part.

Shape legend, used in all docstrings: ``b`` batch, ``d`` embedding width, ``c h w`` a map,
``n`` classes, ``p`` pairs. Images travel as RGB, 0..255, channels first, in uint8.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.errors import UserError

UNLABELLED = -1
"""Label of an image whose person is unknown (a transfer set)."""


CROP_PX = 112
"""Side of an aligned ArcFace crop, the input of every network here."""


HEAD_PX = CROP_PX // 16
"""Side of the last map of 112 px crops, which every head is built for."""


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects of an RGB crop in 0..255: channel order, then ``(x - mean) / std``."""

    order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (128.0, 128.0, 128.0)

    def __post_init__(self) -> None:
        if self.order not in ("rgb", "bgr"):
            raise UserError(f"preprocessing order is {self.order!r}; expected 'rgb' or 'bgr'")
        if len(self.mean) != 3 or len(self.std) != 3:
            raise UserError(f"preprocessing needs 3 means and 3 stds; got {self.mean} and {self.std}")
        if not all(s > 0 for s in self.std):
            raise UserError(f"preprocessing std is {self.std}; expected three positive numbers")

    def __call__(self, images: Tensor) -> Tensor:
        """Map RGB images [b 3 h w] in 0..255, any dtype, to the network's float32 input."""
        images = images.float()
        if self.order == "bgr":
            images = images.flip(1)  # channels: RGB to BGR
        # (1, 3, 1, 1), made on the images' device: no buffer has to follow the network
        mean = torch.tensor(self.mean, device=images.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(1, 3, 1, 1)
        return (images - mean) / std


class Embedder(Protocol):
    """A network from crops to embeddings that does its own preprocessing."""

    @property
    def embedding_dim(self) -> int: ...

    def embed(self, images: Tensor) -> Tensor:
        """RGB uint8 crops [b 3 h w] to float32 embeddings [b d], not normalised."""
        ...


@dataclass(frozen=True)
class Output:
    """Output of one network for a batch: its embedding [b d] and its named maps [b c h w]."""

    embedding: Tensor
    maps: Mapping[str, Tensor] = field(default_factory=dict)


class FaceNetwork(nn.Module, ABC):
    """A network of this project, Light or Large: preprocessed crops [b 3 112 112] to embeddings [b d].

    ``map_channels`` names the outputs of its resolution stages, "stage1" (56 px) to "stage4" (7 px), with their
    channels; an ONNX file has none.
    """

    embedding_dim: int
    map_channels: dict[str, int]

    @abstractmethod
    def forward_maps(self, x: Tensor) -> Output:
        """The embedding and the named maps."""

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_maps(x).embedding


def at_head_size(x: Tensor) -> Tensor:
    """A last map [b c h w] at the side that heads are built for; enlarged while training shows smaller crops."""
    if x.shape[-2:] == (HEAD_PX, HEAD_PX):
        return x
    return F.interpolate(x, (HEAD_PX, HEAD_PX), mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class LossDims:
    """The widths that loss terms with parameters are built for."""

    student_dim: int
    teacher_dim: int | None
    classes: int
    student_maps: Mapping[str, int] = field(default_factory=dict)
    teacher_maps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LossInputs:
    """The inputs of a loss term in one training step.

    ``labels`` [b] int64, ``UNLABELLED`` where unknown. ``centres`` [n d] are the student's learned class
    centres (a parameter of the objective). ``teacher_centres`` [n t] are the frozen centres of the teacher:
    its own classifier or the means of its embeddings. Neither is normalised.
    """

    labels: Tensor
    student: Output
    centres: Tensor
    teacher: Output | None = None
    teacher_centres: Tensor | None = None

    def pick(self, rows: Tensor) -> LossInputs:
        """The same inputs for the rows [k] int64 of the batch."""
        return replace(
            self,
            labels=self.labels[rows],
            student=_pick(self.student, rows),
            teacher=None if self.teacher is None else _pick(self.teacher, rows),
        )


def _pick(output: Output, rows: Tensor) -> Output:
    return Output(output.embedding[rows], {name: m[rows] for name, m in output.maps.items()})
