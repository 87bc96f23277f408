"""Warm start: first weights and class centres from an earlier run, with rows added for new people."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distill.config.groups import StudentConf
from distill.data.faceset import FaceSet
from distill.errors import UserError
from distill.losses.centres import grow, match_rows
from distill.losses.objective import Objective
from distill.runs.assemble import STUDENT_INPUT
from distill.runs.centres_file import CENTRES, ClassPeople, Learned, people_of, read_learned, write_learned
from distill.runs.folder import RunFolder
from distill.runs.identity import centres_file
from distill.runs.mean_centres import mean_centres
from distill.students.quality import WithQuality
from distill.training.module import Distiller
from distill.training.validation import EvalEmbedder
from distill.types import FaceNetwork
from teachers.weights import WeightFile, load_into, named_for

_log = logging.getLogger(__name__)


def leave_centres(module: Distiller, faces: FaceSet, folder: RunFolder) -> None:
    """Write the objective's learned tensors into the run folder, for a later warm start."""
    objective = module.objective
    learned = Learned(people_of(faces), objective.state_dict(), objective.class_rows, module.centre_moments())
    write_learned(folder.file(CENTRES), learned, folder.path.name)


def take_centres(objective: Objective, conf: StudentConf, student: FaceNetwork, faces: FaceSet, seed: int) -> None:
    """Fill the objective from ``student.centres``; a new person's centre is the mean embedding of the ``student``.

    For new people, tensors in the teacher's space begin at random. Tensors that the file lacks are initialised from
    scratch, and those that the objective lacks are skipped. Raises UserError where centres are missing or do not fit.
    """
    if (path := centres_file(conf)) is None:
        return
    learned, people = read_learned(path), people_of(faces)
    _require_fit(path, learned, objective, people)
    rows, new = match_rows(learned.people.numbers, people.numbers)
    state = objective.state_dict()
    for name in state.keys() & learned.state.keys():
        grown = learned.state[name]
        if name in objective.class_rows:
            means = _means(student, faces, new) if name == "centres" else torch.zeros(len(new), grown.shape[1])
            grown = grow(grown, means, seed)[rows]
        state[name].copy_(grown)
    if learned.moments is not None and "centres" in state:
        objective.moments = learned.moments.grown(len(new)).rows(rows)
    _log.info("centres   %s: %d people known, %d new", path, len(people.numbers) - len(new), len(new))
    for name in sorted(state.keys() - learned.state.keys()):
        _log.info("centres   %s holds no %s: it starts from scratch", path, name)


def _means(student: FaceNetwork, faces: FaceSet, new: np.ndarray) -> Tensor:
    """Mean embeddings [k d] of the new people; zero for those without a readable image."""
    if len(new) == 0:
        return torch.zeros(0, student.embedding_dim)
    return mean_centres(EvalEmbedder(student, STUDENT_INPUT), faces, new)[torch.from_numpy(new)]


def _require_fit(path: Path, learned: Learned, objective: Objective, people: ClassPeople) -> None:
    if learned.people.known_by != people.known_by:
        raise UserError(
            f"{path} knows people by {learned.people.known_by}, and these data by {people.known_by}; expected the "
            "same reader, or the centres of a run on data of this kind"
        )
    rows = objective.class_rows
    if absent := [name for name in rows if name not in learned.class_rows]:
        raise UserError(
            f"{path} holds no {absent[0]}, which this objective learns; expected the centres of a run with the same "
            "objective, or student.centres=null"
        )
    for name, wanted in objective.state_dict().items():
        found, skip = learned.state.get(name), int(name in rows)  # rows may differ in number, and in nothing else
        if found is not None and found.shape[skip:] != wanted.shape[skip:]:
            raise UserError(
                f"{path} has {name} of shape {list(found.shape)}, and this run {list(wanted.shape)}; expected the "
                "centres of a run with the same student and teacher"
            )


QUALITY = "quality."


def fill(student: FaceNetwork, weights: WeightFile) -> None:
    """Load a student's first weights; weights of a recogniser without a quality head fill the recogniser only."""
    named = named_for(student.state_dict(), weights)
    if not isinstance(student, WithQuality) or _quality(student.state_dict()) == _quality(named.tensors):
        load_into(student, weights)
        return
    _log.info("student   %s holds no such quality: it starts from scratch", weights.path)
    load_into(student.recogniser, weights)


def require_trained(student: FaceNetwork) -> None:
    """``UserError`` for a recogniser that shall stay as it is before it has learned anything."""
    if isinstance(student, WithQuality) and student.learning == "frozen":
        raise UserError(
            "student.init is null, and student.network.learning=frozen leaves the recogniser as it is; expected the "
            "folder of a run whose student it is: student.init=RUN"
        )


def _quality(tensors: Mapping[str, Tensor]) -> set[str]:
    """The names of a quality's weights."""
    return {key for key in tensors if key.startswith(QUALITY)}
