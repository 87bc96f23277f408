"""A trained network to an ONNX file that computes the same, and a rehearsal of that before hours of training."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn

from distill.config.build import build
from distill.config.groups import ExportConf, ProtocolConf, StudentConf
from distill.data.pairs import Pairs
from distill.export.onnx_file import describe, export_onnx
from distill.export.parity import BATCHES, Parity, parity, random_images
from distill.files.network_file import NetworkFile
from distill.protocol.verdict import judge
from distill.runs.assemble import STUDENT_INPUT
from distill.runs.check import limits
from distill.runs.folder import STUDENT_WEIGHTS, RunFolder
from distill.students.frame_quality import FrameQuality
from distill.students.quality import QualityEstimate, WithQuality
from distill.types import FaceNetwork
from teachers.onnx_network import CONCENTRATION
from teachers.weights import load_into, read_weights


def trained_student(folder: RunFolder, conf: StudentConf) -> FaceNetwork:
    """The student of a run whose training is done, in eval mode."""
    student = build(conf.network, "student.network")
    load_into(student, read_weights(folder.file(STUDENT_WEIGHTS)))
    return student.eval()


def parity_images(pairs: Pairs, count: int) -> Tensor:
    """Normalised crops for the comparison: ``count`` real ones and as many of noise."""
    count = max(count, max(BATCHES))
    rows = torch.linspace(0, len(pairs.images) - 1, count).long()
    return torch.cat([STUDENT_INPUT(pairs.images[rows]), random_images(count)])


def export_network(network: FaceNetwork, path: Path, run: str, conf: ExportConf, images: Tensor) -> Parity:
    """Write the file and compare it with PyTorch; UserError where they differ by more than the configuration allows."""
    write_network(network, path, run, conf)
    return compare_network(network, path, conf, images)


def write_network(network: FaceNetwork, path: Path, run: str, conf: ExportConf) -> None:
    """Write the file, with its preprocessing and its run in the metadata."""
    export_onnx(network, path, described(network, network.embedding_dim, run), conf.opset)


def compare_network(network: FaceNetwork, path: Path, conf: ExportConf, images: Tensor) -> Parity:
    """Compare the file with PyTorch on normalised images [n 3 h w]; UserError beyond the configured difference."""
    found = parity(network, path, images)
    found.require(conf.max_relative_difference, conf.max_cosine_difference)
    return found


def rehearse(network: FaceNetwork, conf: ExportConf, protocol: ProtocolConf) -> Sequence[str]:
    """Export the untrained network into a temporary folder and judge it: the reasons why the trained one will fail.

    What an export cannot do, and what is over a limit, does not depend on the weights; better known now than after
    the last step.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rehearsal.onnx"
        export_onnx(network, path, described(network, network.embedding_dim, "rehearsal"), conf.opset)
        return judge(NetworkFile(path), limits(protocol)).reasons


def described(network: nn.Module, width: int, run: str) -> dict[str, str]:
    """The metadata of a file that is written here; ``width`` is that of its output."""
    metadata = describe(network, width, STUDENT_INPUT, run, f"face-distill {version('face-distill')}")
    trusted = isinstance(network, WithQuality | QualityEstimate)
    return metadata | ({CONCENTRATION: "length"} if trusted else {})


FRAME_QUALITY_ONNX = "frame_quality.onnx"


def export_frame_quality(network: FaceNetwork, folder: Path, run: str, conf: ExportConf, images: Tensor) -> Path | None:
    """Write the separate network of a student that has one, compared with PyTorch on normalised ``images``."""
    if not isinstance(network, WithQuality) or not isinstance(network.quality, FrameQuality):
        return None
    path = folder / FRAME_QUALITY_ONNX
    export_onnx(network.quality, path, described(network.quality, 1, run), conf.opset)
    parity(network.quality, path, images).require(conf.max_relative_difference, conf.max_cosine_difference)
    return path
