"""Open what a run needs, train its student."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from distill.config.build import build
from distill.config.compose import config_hash
from distill.config.groups import StudentConf, TeacherConf
from distill.config.training_jobs import DistillConf
from distill.data.pairs import Pairs
from distill.data.views import NewViews
from distill.files.network_file import NetworkFile
from distill.files.tensor_cache import CACHE
from distill.runs.assemble import (
    augmentation,
    build_objective,
    labelled_faces,
    length,
    machine_for,
    recipe,
    seed_everything,
    shown_rows,
    sizes_of,
    try_out,
    verification_pairs,
    with_transfer,
)
from distill.runs.baseline import comparison
from distill.runs.export import rehearse
from distill.runs.finish import Trained
from distill.runs.fit import Training, TrainingData, fit
from distill.runs.folder import NOT_COMPARED, STUDENT_WEIGHTS, RunFolder
from distill.runs.identity import RunIdentity, begins_with, init_file, pairs_identity
from distill.runs.supervision import Supervision, TrainingView, require_teacher, supervise
from distill.runs.warm_start import fill, leave_centres, require_trained, take_centres
from distill.tracking.series import Sink
from distill.types import FaceNetwork
from teachers.weights import read_weights, save_weights


@dataclass(frozen=True)
class RunInputs:
    """The inputs of a run: every file that it reads is open, and checked as far as possible.

    ``rows`` are those of the faces that are shown; None is all.
    """

    shown: TrainingView
    pairs: Sequence[Pairs]
    supervision: Supervision | None
    rows: np.ndarray | None
    student: StudentConf

    @cached_property
    def begins_with(self) -> Mapping[str, str]:
        """What identifies the files that the student begins with; read at the first question."""
        return begins_with(self.student)

    @property
    def images(self) -> int:
        """How many are shown."""
        return len(self.shown.faces) if self.rows is None else len(self.rows)


def train(
    conf: DistillConf, opened: RunInputs, folder: RunFolder, sinks: Sequence[Sink], rehearsal: bool = True
) -> tuple[FaceNetwork, Trained]:
    """From untried teacher and untrained student to the student's weights in the run folder.

    ``rehearsal`` False is for a student whose network has passed an export and a check before.
    """
    seed_everything(conf.seed)
    shown, supervision = opened.shown, opened.supervision
    student = open_student(conf)
    objective = build_objective(conf.objective, sizes_of(student, supervision, shown.faces.classes))
    supervision = supervision and supervision.serving(objective)
    take_centres(objective, conf.student, student, shown.labelled, conf.seed)
    run_length = length(conf.trainer, opened.images, conf.seed)
    machine = machine_for(conf.trainer, run_length)
    recipe(conf.trainer, run_length, machine)  # refused now, and not after the teacher's pass over all images
    data = _faces(conf, opened, supervision)
    training = Training(folder, conf.trainer, run_length, machine, data, sinks)
    tried = _try_out(supervision, conf.teacher, opened.pairs[0])
    if rehearsal:
        _warn_of_limits(student, conf)
    centres = supervision.centres(shown.labelled) if supervision and objective.needs_teacher_centres else None
    module, recorder = fit(training, student, objective, supervision and supervision.outputs(), centres)
    training_s = module.trained_s
    network = module.trained.cpu().eval()
    save_weights(network, folder.file(STUDENT_WEIGHTS), {"run": folder.path.name})
    leave_centres(module, shown.labelled, folder)
    return network, Trained(
        images=opened.images,
        people=shown.faces.classes,
        teacher_tried=tried,
        learned_from=conf.teacher.name if objective.needs_teacher else None,
        comparison=comparison(
            conf,
            shown.faces.fingerprint(),
            opened.pairs[0].fingerprint(),
            run_length.images,
            opened.begins_with,
        ),
        machine={**asdict(machine), "steps": run_length.steps, "image_steps": run_length.images},
        training_s=round(training_s, 1),
        losses={k: v for k, v in recorder.last.items() if k.startswith(("raw/", "loss"))},
    )


def _faces(conf: DistillConf, opened: RunInputs, supervision: Supervision | None) -> TrainingData:
    """What is trained on: with a store, the views that it holds and its rows beside them."""
    shown = opened.shown
    views = supervision.views(shown.augment, shown.seed) if supervision else NewViews(shown.augment, shown.seed)
    store = supervision.store if supervision else None
    return TrainingData(shown.faces, views, opened.pairs, conf.data.max_damaged, store, opened.rows)


def _try_out(supervision: Supervision | None, conf: TeacherConf, pairs: Pairs) -> bool:
    """Try a teacher that will run live; one whose signals are stored was tried when they were made."""
    if supervision is None or supervision.teacher is None or supervision.store is not None:
        return supervision is not None
    return try_out(supervision.teacher, conf, pairs)


def _warn_of_limits(student: FaceNetwork, conf: DistillConf) -> None:
    """A warning for each reason why the student cannot pass, before hours are spent."""
    for reason in rehearse(student, conf.export, conf.protocol):
        print(f"warning: this student will not pass {conf.protocol.name}: {reason}", file=sys.stderr)


def identity(conf: DistillConf, opened: RunInputs) -> RunIdentity:
    """What changes with whatever changes the student or its scores; where these are written and tracked does not."""
    learned_from = opened.supervision.identity if opened.supervision else "no teacher"
    inputs = {
        "data": opened.shown.faces.fingerprint(),
        "data.pairs": pairs_identity(opened.pairs),
        "teacher": hashlib.sha256(learned_from.encode()).hexdigest(),
        **opened.begins_with,
    }
    return RunIdentity(config_hash(conf, *NOT_COMPARED, "signals"), inputs)


def open_student(conf: DistillConf) -> FaceNetwork:
    """The student, fresh or from the weights of ``student.init``: a run folder or a file."""
    student = build(conf.student.network, "student.network")
    if (path := init_file(conf.student)) is None:
        require_trained(student)
    else:
        fill(student, read_weights(path))
    return student


def open_inputs(conf: DistillConf, cache: Path | None = None, teacher: NetworkFile | None = None) -> RunInputs:
    """All that a student learns from and is scored on, of a run of its own and of a night alike.

    ``cache`` is the folder of what is computed once of these inputs; None: ``.cache`` beside the runs. ``teacher`` is
    the file that ``teacher.weights`` names, where the job has opened it.
    """
    require_teacher(conf.teacher, conf.signals)  # data may take minutes to be made
    labelled = labelled_faces(conf.data)
    faces, pairs = with_transfer(labelled, conf.data), verification_pairs(conf.data)
    rows = shown_rows(conf.replay, labelled, faces, conf.seed)
    shown = TrainingView(labelled, faces, augmentation(conf.data), conf.seed)
    supervision = supervise(conf.teacher, conf.signals, shown, cache or Path(conf.run.root) / CACHE, teacher)
    return RunInputs(shown, pairs, supervision, rows, conf.student)
