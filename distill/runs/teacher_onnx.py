"""``teacher.onnx`` beside a trained teacher's weights: compared with PyTorch, judged by a protocol, with its own card.

It is written when weights, card and metrics are there, so a network that cannot be exported loses nothing, and the same
command tries again.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from distill.config.build import build
from distill.config.training_jobs import TeachConf
from distill.data.pairs import Pairs
from distill.errors import UserError
from distill.files.network_file import NetworkFile, network_sha256
from distill.protocol.verdict import Verdict
from distill.runs.check import check
from distill.runs.export import export_network, parity_images
from distill.runs.folder import RunFolder
from distill.types import FaceNetwork
from teachers.card import TeacherCost, read_card, write_card
from teachers.weights import CLASSIFIER, load_into, read_weights

TEACHER_ONNX, TEACHER_ONNX_CARD = "teacher.onnx", "teacher.card.yaml"
ONNX_SHA256 = "onnx_sha256"
"""Key of a run's metrics: the identity of the ONNX file that was compared and judged."""


def is_exported(folder: RunFolder, weights: Path) -> bool:
    """Whether the ONNX file beside the weights is the one that the finished run describes."""
    path = weights.with_name(TEACHER_ONNX)
    return path.is_file() and network_sha256(path) == folder.metrics().get(ONNX_SHA256)


def trained_teacher(conf: TeachConf, weights: Path) -> FaceNetwork:
    """The network that an earlier run has left, in eval mode."""
    assert conf.teacher.network is not None
    network: FaceNetwork = build(conf.teacher.network, "teacher.network")
    content = read_weights(weights)
    content.tensors.pop(CLASSIFIER, None)
    load_into(network, content)
    return network.eval()


def export_teacher(conf: TeachConf, folder: RunFolder, network: FaceNetwork, weights: Path, pairs: Pairs) -> Verdict:
    """Leave the ONNX file and its card beside the weights, its proofs in the run; its verdict by ``conf.protocol``.

    Raises UserError where the network cannot be exported or its file differs from PyTorch; no file is left then.
    """
    path = weights.with_name(TEACHER_ONNX)
    images = parity_images(pairs, conf.export.parity_images)
    try:
        found = export_network(network, path, folder.path.name, conf.export, images)
    except UserError as error:
        path.unlink(missing_ok=True)
        raise UserError(f"{weights} is trained, but not exported to ONNX: {error}") from error
    file = NetworkFile(path)
    verdict = check(file, conf.protocol, folder.path)
    _write_cards(weights.with_name("card.yaml"), file, _cost(network, verdict))
    proofs = {ONNX_SHA256: file.sha256, "parity": asdict(found), "check": verdict.to_json()}
    folder.finish({**folder.metrics(), **proofs})
    return verdict


def _cost(network: FaceNetwork, verdict: Verdict) -> TeacherCost | None:
    """The cost of the file as it is, and the parameters that were learned; folding norms leaves fewer in the file."""
    if verdict.cost.macs is None or verdict.cost.flops is None:
        return None
    return TeacherCost(verdict.cost.macs, verdict.cost.flops, sum(p.numel() for p in network.parameters()))


def _write_cards(beside: Path, file: NetworkFile, cost: TeacherCost | None) -> None:
    """The cost into the weights' card, and a card for the ONNX file, which holds no classifier."""
    known = replace(read_card(beside), cost=cost)
    write_card(known, beside)
    own = replace(known, sha256=file.sha256, classes=None, data_fingerprint=None)
    write_card(own, file.path.with_name(TEACHER_ONNX_CARD))
