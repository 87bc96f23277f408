"""``make teacher``: train a Large-protocol network, and leave weights and ONNX file where distilling looks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from distill.config.compose import config_hash, load
from distill.config.training_jobs import TeachConf
from distill.errors import UserError
from distill.files.network_file import network_sha256
from distill.report.terminal import print_check, print_verification
from distill.runs.assemble import labelled_faces, verification_pairs
from distill.runs.folder import open_run, tracked
from distill.runs.identity import RunIdentity, pairs_identity, remember
from distill.runs.teach import teach, weights_file
from distill.runs.teacher_onnx import TEACHER_ONNX, export_teacher, is_exported, trained_teacher
from distill.runs.unfinished import report_unfinished
from distill.shown import shown


def run(conf: TeachConf) -> int:
    """Train, score, write ``teacher.weights`` and its card, then the ONNX file and its verdict; 0, whatever that is.

    A teacher that is trained and has no ONNX file, or another one, is exported alone.
    """
    weights = weights_file(conf)
    if conf.init is not None and not Path(conf.init).is_file():
        _teach_first(conf, conf.init)
    faces, pairs = labelled_faces(conf.data), verification_pairs(conf.data)
    inputs = {"data": faces.fingerprint(), "data.pairs": pairs_identity(pairs)}
    if conf.init is not None:
        inputs["init"] = network_sha256(Path(conf.init))
    known = RunIdentity(config_hash(conf), inputs)
    name = conf.run.name or f"teach-{conf.teacher.name}-{known.digits}"
    report_unfinished(Path(conf.run.root), name, conf)
    with open_run(Path(conf.run.root), name, conf.run.fresh, conf) as folder:
        remember(folder, known)
        if folder.finished and weights.exists() and network_sha256(weights) == folder.metrics()["weights_sha256"]:
            print(f"this teacher is trained: {shown(weights)}; run.fresh=true trains another one")
            if is_exported(folder, weights):
                return 0
            network = trained_teacher(conf, weights)
        else:
            with tracked(folder, conf.tracking, conf) as wandb:
                network, score = teach(conf, folder, faces, pairs, wandb)
            print_verification(score.rows(), "RGB, mean 127.5, std 128: what it was trained with")
        print(f"weights   {shown(weights)}")
        verdict = export_teacher(conf, folder, network, weights, pairs[0])
    print_check(verdict.rows(), verdict.passed, verdict.reasons)
    print(f"ONNX      {shown(weights.with_name(TEACHER_ONNX))}")
    print(f"distil    make distill teacher={conf.teacher.name} teacher.weights={shown(weights)}")
    return 0


def _teach_first(conf: TeachConf, weights: str) -> None:
    """Train ``init_teacher`` with its own configuration, but on the same data, and write its weights to ``init``."""
    if conf.init_teacher is None:
        raise UserError(
            f"init is {weights}, which does not exist; expected weights to begin with, e.g. those that "
            "`make teacher teacher=r18` leaves in weights/r18"
        )
    first: TeachConf = load("teach", [f"teacher={conf.init_teacher}"])
    print(f"{shown(weights)} does not exist yet: teaching {conf.init_teacher} first")
    run(
        replace(
            first,
            teacher=replace(first.teacher, weights=weights),
            data=conf.data,
            protocol=conf.protocol,
            export=conf.export,
            tracking=replace(conf.tracking, name=None, id=None),  # another run than this one
            run=replace(conf.run, name=None),
            seed=conf.seed,
        )
    )
