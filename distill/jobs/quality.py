"""Students with a quality: where their first weights come from, and the separate network's file of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from distill.export.onnx_file import export_onnx
from distill.export.parity import parity
from distill.jobs.onnx_student import described
from distill.jobs.schema import ExportConf
from distill.students.frame_quality import CropQuality
from distill.students.quality import WithQuality
from distill.types import FaceNetwork, UserError
from teachers.weights import Weights, load_into, named_for

FRAME_QUALITY_ONNX = "frame_quality.onnx"
QUALITY = "quality."
_log = logging.getLogger(__name__)


def fill(student: FaceNetwork, weights: Weights) -> None:
    """Load a student's first weights; those of a recogniser without this quality fill the recogniser alone."""
    weights = named_for(student.state_dict(), weights)
    if not isinstance(student, WithQuality) or _quality(student.state_dict()) == _quality(weights.tensors):
        load_into(student, weights)
        return
    _log.info("student   %s holds no such quality: it begins anew", weights.path)
    load_into(student.recogniser, weights)


def require_trained(student: FaceNetwork) -> None:
    """``UserError`` for a recogniser that shall stay as it is before it has learned anything."""
    if isinstance(student, WithQuality) and student.learning == "frozen":
        raise UserError(
            "student.init is null, and student.network.learning=frozen leaves the recogniser as it is; expected the "
            "folder of a run whose student it is: student.init=RUN"
        )


def export_frame_quality(network: FaceNetwork, folder: Path, run: str, conf: ExportConf, images: Tensor) -> Path | None:
    """Write the separate network of a student that has one, compared with PyTorch on normalised ``images``."""
    if not isinstance(network, WithQuality) or not isinstance(network.quality, CropQuality):
        return None
    path = folder / FRAME_QUALITY_ONNX
    export_onnx(network.quality, path, described(network.quality, 1, run), conf.opset)
    parity(network.quality, path, images).require(conf.max_relative_difference, conf.max_cosine_difference)
    return path


def _quality(tensors: Mapping[str, Tensor]) -> set[str]:
    """The names of a quality's weights."""
    return {key for key in tensors if key.startswith(QUALITY)}
