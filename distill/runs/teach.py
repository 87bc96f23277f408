"""A teacher's training: from a fresh or grown network to its weights, its card and its score."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from torch import Tensor

from distill.config.build import build
from distill.config.compose import conf_dir
from distill.config.training_jobs import TeachConf
from distill.data.faceset import Described, FaceSet
from distill.data.pairs import Pairs
from distill.data.views import NewViews
from distill.errors import UserError
from distill.files.network_file import NetworkFile
from distill.files.writable import require_writable
from distill.losses.centres import described_centres
from distill.losses.objective import Objective
from distill.metrics.verification import Verification
from distill.runs.assemble import (
    STUDENT_INPUT,
    augmentation,
    build_objective,
    length,
    machine_for,
    seed_everything,
    sizes_of,
)
from distill.runs.fit import Training, TrainingData, fit
from distill.runs.folder import RunFolder
from distill.tracking.wandb_run import WandbRun
from distill.training.validation import EvalEmbedder, score
from distill.types import FaceNetwork
from teachers.card import Card, TeacherScore, write_card
from teachers.growth import Growable, grow_into
from teachers.teacher import FINGERPRINT_KEY
from teachers.weights import CLASSIFIER, read_weights, save_weights


def teach(
    conf: TeachConf, folder: RunFolder, faces: FaceSet, pairs: Sequence[Pairs], wandb: WandbRun
) -> tuple[FaceNetwork, Verification]:
    """Train a teacher, write its weights, card and metrics; the network in eval mode and its score on the main set."""
    seed_everything(conf.seed)
    network, objective = _beginning(conf, faces)
    run_length = length(conf.trainer, len(faces), conf.seed)
    machine = machine_for(conf.trainer, run_length)
    data = TrainingData(faces, NewViews(augmentation(conf.data), conf.seed), pairs, conf.data.max_damaged)
    module, recorder = fit(
        Training(folder, conf.trainer, run_length, machine, data, [wandb]), network, objective, None, None
    )
    taught = module.trained.cpu().eval()
    found = [score(EvalEmbedder(taught, STUDENT_INPUT, machine.precision == "bf16"), p) for p in pairs]
    centres = objective.centres.detach()
    metadata = {FINGERPRINT_KEY: faces.fingerprint(), "run": folder.path.name}
    weights = NetworkFile(weights_file(conf))
    save_weights(taught, weights.path, metadata, classifier=centres if len(centres) else None)
    lasted = {"image_steps": run_length.images, "seconds": round(module.trained_s)}
    write_card(_card(conf, weights, taught, faces, pairs[0], found[0], lasted), weights.path.with_name("card.yaml"))
    wandb.summary({"accuracy/teacher": found[0].accuracy_mean})
    _finish(folder, conf, weights, pairs, found, recorder.last)
    return taught, found[0]


def weights_file(conf: TeachConf) -> Path:
    """Where the weights go; our own format only."""
    if conf.teacher.network is None or conf.teacher.weights is None:
        raise UserError(
            f"teacher {conf.teacher.name} is no network of ours and cannot be trained; expected one of "
            f"{', '.join(_trainable())}"
        )
    if conf.teacher.layout is not None:
        raise UserError(
            f"teacher.layout is {conf.teacher.layout}, which is for weights that are read, and a teacher that is "
            "trained writes our own; expected null"
        )
    weights = Path(conf.teacher.weights)
    if weights.suffix != ".safetensors":
        raise UserError(f"teacher.weights is {weights}; expected a name ending in .safetensors to write to")
    return require_writable(weights, "teacher.weights=FILE")


def _trainable() -> list[str]:
    """The choices of ``teacher`` that name a network."""
    files = sorted((conf_dir() / "teacher").glob("*.yaml"))
    return [file.stem for file in files if yaml.safe_load(file.read_text("utf-8"))["network"] is not None]


def _beginning(conf: TeachConf, faces: FaceSet) -> tuple[FaceNetwork, Objective]:
    """The network and its objective before the first step: fresh, or grown from ``init`` with its class centres."""
    assert conf.teacher.network is not None
    network: FaceNetwork = build(conf.teacher.network, "teacher.network")
    objective = build_objective(conf.objective, sizes_of(network, None, faces.classes))
    centres = None if conf.init is None else _grow(network, Path(conf.init))
    start = objective.centres.detach()
    if centres is None and isinstance(faces, Described) and len(start):
        norm = float(start.norm(dim=1).mean())
        centres = described_centres(torch.from_numpy(faces.traits()), start.shape[1], norm, conf.seed)
    if centres is not None and centres.shape == start.shape:
        start.copy_(centres)
    return network, objective


def _grow(network: FaceNetwork, path: Path) -> Tensor | None:
    """Fill the network from a shallower one's weights; the class centres beside these, if there are any."""
    if not isinstance(network, Growable):
        raise UserError(f"init is {path}; expected none: a {type(network).__name__} cannot be grown")
    weights = read_weights(path)
    centres = weights.tensors.pop(CLASSIFIER, None)
    grow_into(network, weights)
    return centres


def _card(
    conf: TeachConf,
    weights: NetworkFile,
    network: FaceNetwork,
    faces: FaceSet,
    pairs: Pairs,
    found: Verification,
    lasted: dict[str, int],
) -> Card:
    """Card of the weights that were just written; ``lasted`` is the training time in words."""
    training = {
        "objective": conf.objective.name,
        "images": len(faces),
        "init": conf.init,
        **lasted,
        "optimizer": conf.trainer.optimizer.name.value,
        "lr": conf.trainer.optimizer.lr,
        "seed": conf.seed,
        "torch": str(torch.__version__),  # a subclass of str, which YAML cannot write
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    return Card(
        name=conf.teacher.name,
        source=f"trained here on {conf.data.name} data of {faces.classes:,} people",
        licence="yours, within the licence of the training data",
        preprocessing=STUDENT_INPUT,
        sha256=weights.sha256,
        embedding_dim=network.embedding_dim,
        cost=None,  # measured on the ONNX file
        score=TeacherScore(pairs.name, found.accuracy_mean),
        training=training,
        classes=faces.classes,
        data_fingerprint=faces.fingerprint(),
    )


def _finish(
    folder: RunFolder,
    conf: TeachConf,
    weights: NetworkFile,
    pairs: Sequence[Pairs],
    found: Sequence[Verification],
    losses: dict[str, float],
) -> None:
    sets = {p.name: v.to_json() for p, v in zip(pairs, found, strict=True)}
    folder.finish(
        {
            "verdict": "taught",
            "set": pairs[0].name,
            "teacher": found[0].to_json(),
            "sets": {"teacher": sets},
            "losses": losses,
            "weights": conf.teacher.weights,
            "weights_sha256": weights.sha256,
        }
    )
    folder.point_latest()
