"""The inputs of a store of teacher outputs, opened and checked, and what is stored once beside the shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from distill.config.training_jobs import SignalsConf
from distill.data.faceset import FaceSet
from distill.data.pairs import Pairs
from distill.errors import UserError
from distill.files.writable import require_writable
from distill.runs.assemble import (
    augmentation,
    labelled_faces,
    open_teacher,
    require_layout,
    try_out,
    verification_pairs,
    with_transfer,
)
from distill.runs.signal_lookup import ROOT
from distill.runs.signal_writing import Storing, keep_centres, keep_distances, stored_views, teacher_distances
from distill.signals.manifest import SignalManifest
from distill.signals.set_outputs import CARD, mean_centres
from distill.signals.store import Store
from teachers.card import write_card


@dataclass(frozen=True)
class SignalInputs:
    """The inputs: faces, the pairs that the teacher is tried on, and the teacher with the views to be stored."""

    faces: FaceSet
    pairs: Sequence[Pairs]
    storing: Storing


def open_signal_inputs(conf: SignalsConf) -> SignalInputs:
    """Open faces, pairs and teacher, and try the teacher on the first pairs; ``UserError`` where one cannot serve."""
    require_layout(conf.teacher)  # data may take minutes to be made
    views = stored_views(conf, augmentation(conf.data))
    labelled, pairs = labelled_faces(conf.data), verification_pairs(conf.data)
    teacher = open_teacher(conf.teacher, labelled.fingerprint())
    if teacher is None:
        raise UserError("teacher=none has nothing to store; expected a teacher with weights")
    opened = SignalInputs(with_transfer(labelled, conf.data), pairs, Storing(conf, teacher, views))
    require_writable((Path(conf.out) if conf.out else ROOT / "new") / CARD)
    try_out(teacher, conf.teacher, pairs[0])
    return opened


def write_set_outputs(folder: Path, manifest: SignalManifest, opened: SignalInputs) -> None:
    """Class centres, the teacher's distances of the verification pairs, and its card, unless stored and intact."""
    teacher, faces = opened.storing.teacher, opened.faces

    def centres() -> Tensor:
        own = teacher.classifier
        return own if own is not None else mean_centres(Store(folder, faces), faces.labels, faces.classes)

    keep_centres(folder, manifest, centres)
    keep_distances(folder, manifest, opened.pairs, lambda pairs: teacher_distances(teacher, pairs))
    write_card(teacher.card, folder / CARD)
