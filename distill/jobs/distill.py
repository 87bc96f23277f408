"""``make distill``: from images and a teacher to a checked ONNX student, in one run folder."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.data.faceset import FaceSet
from distill.data.pairs import Pairs
from distill.jobs.build import build
from distill.jobs.cache import kept
from distill.jobs.centres import mean_centres
from distill.jobs.compose import config_hash
from distill.jobs.delivery import Delivery, deliver, show
from distill.jobs.faces import augmentation, labelled_faces, verification_pairs, with_transfer
from distill.jobs.onnx_student import rehearse
from distill.jobs.recipe import build_objective, length, machine_for, seed_everything, sizes_of
from distill.jobs.run_folder import STUDENT_WEIGHTS, RunFolder, open_run
from distill.jobs.schema import DistillConf, TeacherConf
from distill.jobs.tracking import tracked
from distill.jobs.training import Faces, Training, fit
from distill.losses.objective import Objective
from distill.machine import has_fast_bf16
from distill.tracking.wandb_run import WandbRun
from distill.trial import try_teacher
from distill.types import FaceNetwork, Preprocessing, UserError
from teachers.card import parse_preprocessing
from teachers.teacher import Teacher, load_teacher
from teachers.weights import load_into, read_weights, save_weights, sha256

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """The inputs of a run: every file that it reads is open, and whole as far as that can be seen."""

    labelled: FaceSet
    faces: FaceSet
    pairs: Sequence[Pairs]
    teacher: Teacher | None
    teacher_id: str


def run(conf: DistillConf) -> int:
    """Train, export, compare, check, verify, report; 0 where the student passes its protocol, 1 where it does not."""
    labelled = labelled_faces(conf.data)
    faces, pairs = with_transfer(labelled, conf.data), verification_pairs(conf.data)
    teacher = open_teacher(conf.teacher, labelled.fingerprint())
    opened = Opened(labelled, faces, pairs, teacher, _teacher_id(conf.teacher, teacher))
    name = conf.run.name or f"{conf.student.name}-{conf.teacher.name}-{_identity(conf, opened)}"
    with open_run(Path(conf.run.root), name, conf.run.fresh, conf) as folder:
        if folder.finished:
            print(f"this run is finished; run.fresh=true trains another one: {folder.path}")
            return show(folder)
        with tracked(folder, conf.tracking, conf) as wandb:
            return deliver(*_train(conf, opened, folder, wandb))


def _train(conf: DistillConf, opened: Opened, folder: RunFolder, wandb: WandbRun) -> tuple[Delivery, FaceNetwork]:
    """From untried teacher and untrained student to the student's weights in the run folder."""
    seed_everything(conf.seed)
    student = open_student(conf)
    objective = build_objective(conf.objective, sizes_of(student, opened.teacher, opened.faces.classes))
    run_length = length(conf.trainer, len(opened.faces), conf.seed)
    machine = machine_for(conf.trainer, run_length)
    data = Faces(opened.faces, augmentation(conf.data), opened.pairs, conf.data.max_damaged)
    training = Training(folder, conf.trainer, run_length, machine, data, [wandb])
    tried = opened.teacher is not None and try_out(opened.teacher, conf.teacher, opened.pairs[0])
    _warn_of_limits(student, conf)
    centres = _centres(objective, opened, folder)
    module, recorder = fit(training, student, objective, opened.teacher, centres)
    training_s = module.trained_s
    network = module.trained.cpu().eval()
    save_weights(network, folder.file(STUDENT_WEIGHTS), {"run": folder.path.name})
    delivery = Delivery(
        folder=folder,
        conf=conf,
        pairs=opened.pairs,
        images=len(opened.faces),
        people=opened.faces.classes,
        teacher=opened.teacher,
        teacher_id=opened.teacher_id,
        teacher_tried=tried,
        machine={**asdict(machine), "steps": run_length.steps, "image_steps": run_length.images},
        training_s=round(training_s, 1),
        losses={k: v for k, v in recorder.last.items() if k.startswith(("raw/", "loss"))},
        wandb=wandb,
    )
    return delivery, network


def _warn_of_limits(student: FaceNetwork, conf: DistillConf) -> None:
    """A warning for each reason why the student cannot pass, before hours are spent."""
    for reason in rehearse(student, conf.export, conf.protocol):
        print(f"warning: this student will not pass {conf.protocol.name}: {reason}", file=sys.stderr)


def _centres(objective: Objective, opened: Opened, folder: RunFolder) -> Tensor | None:
    """The teacher's class centres where a term reads them: its own classifier, else the means of its embeddings."""
    if not objective.needs_teacher_centres:
        return None
    teacher, labelled = opened.teacher, opened.labelled
    assert teacher is not None, "a term that reads the teacher's centres is not built without a teacher"
    if teacher.classifier is not None:
        return teacher.classifier
    made_from = (opened.teacher_id, labelled.fingerprint())
    return kept(folder.path.parent / ".cache", "centres", made_from, lambda: mean_centres(teacher, labelled))


def _identity(conf: DistillConf, opened: Opened) -> str:
    """Eight digits that change with whatever changes the student; where it is written and tracked does not."""
    named = f"{config_hash(conf, 'run', 'tracking')} {opened.faces.fingerprint()} {opened.teacher_id}"
    return hashlib.sha256(named.encode()).hexdigest()[:8]


def _teacher_id(conf: TeacherConf, teacher: Teacher | None) -> str:
    """What changes with the teacher's embeddings."""
    if teacher is None or conf.weights is None:
        return "no teacher"
    return f"{conf.name} {sha256(Path(conf.weights))} {teacher.preprocessing}"


def open_teacher(conf: TeacherConf, fingerprint: str) -> Teacher | None:
    """The teacher with its weights, card and preprocessing, ready to look at images; None for ``teacher=none``."""
    if conf.network is None and conf.weights is None:
        return None
    weights = None if conf.weights is None else Path(conf.weights)
    network = None if conf.network is None else build(conf.network, "teacher.network")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision = conf.precision.value
    chosen: Any = ("bf16" if has_fast_bf16(device) else "fp32") if precision == "auto" else precision
    return load_teacher(
        conf.name,
        network,
        weights,
        None if conf.card is None else Path(conf.card),
        _preprocessing(conf),
        chosen,
        fingerprint,
    ).to(device)


def _preprocessing(conf: TeacherConf) -> Preprocessing | None:
    if conf.preprocessing is None:
        return None
    return parse_preprocessing(conf.preprocessing, "teacher.preprocessing")


def try_out(teacher: Teacher, conf: TeacherConf, pairs: Pairs) -> bool:
    """Score the teacher on a few hundred pairs and stop a run that trusts a useless one; False where that is off."""
    if not conf.check:
        _log.warning("teacher %s is not tried before the run: teacher.check=false", conf.name)
        return False
    result = try_teacher(
        teacher, pairs.images, torch.from_numpy(pairs.same), conf.name, expected_dim=teacher.card.embedding_dim
    )
    _log.info("teacher %s: AUC %.4f on %d pairs of %s", conf.name, result.auc, result.pairs, pairs.name)
    return True


def open_student(conf: DistillConf) -> FaceNetwork:
    """The student, fresh or from the weights of ``student.init``: a run folder or a file."""
    student = build(conf.student.network, "student.network")
    if conf.student.init is None:
        return student
    path = Path(conf.student.init)
    if not path.exists():
        raise UserError(f"student.init is {path}, which does not exist; expected the folder of a run or a weights file")
    if path.is_dir():
        path = path / STUDENT_WEIGHTS
        if not path.exists():
            raise UserError(
                f"student.init is {conf.student.init}, which holds no {STUDENT_WEIGHTS}: that run has not finished; "
                "give its own command again, or name another run"
            )
    load_into(student, read_weights(path))
    return student
