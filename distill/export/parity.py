"""Whether an ONNX file computes what the PyTorch network computes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors  # pyright: ignore[reportAttributeAccessIssue]
from torch import Tensor, nn

from distill.errors import UserError
from distill.files.utf8_path import utf8_path
from distill.types import CROP_PX, Preprocessing

BATCHES = (1, 2, 7)
REFERENCE_BATCH = 16
ORT_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


@dataclass(frozen=True)
class Parity:
    """The largest differences between a file and PyTorch float32, over all images and batch sizes.

    ``max_abs`` is in the embedding's own units. ``max_relative`` divides it by the largest magnitude of PyTorch's
    embeddings: they are not normalised, their scale differs from run to run, and float32 rounding grows with it, so
    only the relative figure has a limit that means the same for every network. ``max_cosine`` is 1 - cosine.
    """

    max_abs: float
    max_relative: float
    max_cosine: float
    images: int
    batches: tuple[int, ...]

    def require(self, max_relative: float, max_cosine: float) -> None:
        """Raise UserError unless both differences are within their limits; NaN is not."""
        if self.max_relative <= max_relative and self.max_cosine <= max_cosine:
            return
        raise UserError(
            f"the exported file differs from PyTorch: relative {self.max_relative:.3g} (limit {max_relative:g}, "
            f"absolute {self.max_abs:.3g}), cosine {self.max_cosine:.3g} (limit {max_cosine:g}) on {self.images} "
            f"images at batches {', '.join(map(str, self.batches))}; do not ship it, try another export.opset"
        )


def parity(network: nn.Module, model: Path | bytes, images: Tensor, batches: Sequence[int] = BATCHES) -> Parity:
    """Compare ``network`` with an ONNX file (or its bytes) on normalised images [n 3 h w] at each batch size.

    Raises UserError where the file cannot be loaded or does not take one of the batches.
    """
    assert len(images) >= max(batches), f"{len(images)} images cannot fill a batch of {max(batches)}"
    images = images.float().cpu()
    reference = _reference(network, images)
    session = _session(model)
    found = [torch.cat([_run(session, part) for part in images.split(batch)]) for batch in batches]
    return _compare(reference, found, tuple(batches))


def random_images(count: int, seed: int = 0) -> Tensor:
    """Normalised noise [count 3 112 112]: far from any face, so that it reaches values that faces do not."""
    pixels = torch.randint(0, 256, (count, 3, CROP_PX, CROP_PX), generator=torch.Generator().manual_seed(seed))
    return Preprocessing()(pixels)


def _compare(reference: Tensor, found: Sequence[Tensor], batches: tuple[int, ...]) -> Parity:
    shapes = {tuple(f.shape) for f in found}
    if shapes != {tuple(reference.shape)}:
        raise UserError(f"the exported file gives embeddings of shape {shapes}; expected {tuple(reference.shape)}")
    other = torch.stack(list(found)).double()
    same = reference.double().expand_as(other)
    largest = float((other - same).abs().max())
    cosine = torch.nn.functional.cosine_similarity(other, same, dim=-1)
    return Parity(
        max_abs=largest,
        max_relative=largest / max(float(same.abs().max()), torch.finfo(torch.float32).tiny),
        max_cosine=max(0.0, float((1 - cosine).max())) if bool(cosine.isfinite().all()) else float("nan"),
        images=len(reference),
        batches=batches,
    )


def _reference(network: nn.Module, images: Tensor) -> Tensor:
    twin = copy.deepcopy(network).cpu().float().eval()
    with torch.inference_mode():
        return torch.cat([twin(part) for part in images.split(REFERENCE_BATCH)])


def _session(model: Path | bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4  # the error is raised; ORT need not print it too
    try:
        with nullcontext(model) if isinstance(model, bytes) else utf8_path(model) as source:
            return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except ORT_ERRORS as error:
        name = "the exported graph" if isinstance(model, bytes) else model
        raise UserError(f"{name} is not a model that ONNX Runtime loads ({_line(error)}); export it again") from error


def _run(session: ort.InferenceSession, images: Tensor) -> Tensor:
    feed = {session.get_inputs()[0].name: np.ascontiguousarray(images.numpy())}
    try:
        return torch.from_numpy(session.run(None, feed)[0])
    except ORT_ERRORS as error:
        raise UserError(f"the file fails on a batch of {len(images)} ({_line(error)}); export it again") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
