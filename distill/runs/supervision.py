"""What a run learns from: a teacher that looks at every batch, or what a store kept of one."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.config.groups import TeacherConf
from distill.data.augment import Augmentation
from distill.data.faceset import FaceSet
from distill.data.pairs import Pairs
from distill.data.views import NewViews, Views
from distill.errors import UserError
from distill.files.network_file import NetworkFile
from distill.files.tensor_cache import cached
from distill.losses.objective import Objective
from distill.metrics.embedding import embed_flip_sum
from distill.metrics.verification import distances
from distill.progress import waiting
from distill.runs.assemble import open_teacher, require_layout
from distill.runs.mean_centres import mean_centres
from distill.runs.signal_lookup import (
    AUTO,
    LIVE,
    Wanted,
    asked_precision,
    described_data,
    described_teacher,
    find_folder,
    stored_teachers,
)
from distill.signals.joined import open_store
from distill.signals.set_outputs import CARD, read_centres, read_distances
from distill.signals.store import SignalStore
from distill.training.module import LiveTeacher, StoredTeacher, TeacherOutputs
from teachers.card import Card, read_card
from teachers.teacher import Teacher

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Supervision:
    """A live teacher, a store of its signals, or both; with a store, training does not look at the teacher.

    ``cache`` is a folder for tensors that cost minutes; ``live_id`` changes with the live teacher.
    """

    teacher: Teacher | None
    store: SignalStore | None
    live_id: str
    cache: Path

    @property
    def identity(self) -> str:
        """What changes with anything that the student learns from here."""
        if self.store is None:
            return self.live_id
        return f"stored {self.store.manifest.hash()} {self.store.manifest.software.get('precision')}"

    def _made_from(self, fingerprint: str) -> tuple[str, ...]:
        """All that decides the live teacher's embeddings of a set with this fingerprint."""
        assert self.teacher is not None
        return self.live_id, self.teacher.precision, fingerprint

    @property
    def embedding_dim(self) -> int:
        return self._said("embedding_dim")

    @property
    def map_channels(self) -> dict[str, int]:
        return self._said("map_channels")

    def _said(self, what: str) -> Any:
        return getattr(self.teacher, what) if self.store is None else self.store.manifest.teacher[what]

    @property
    def card(self) -> Card:
        if self.teacher is not None:
            return self.teacher.card
        assert self.store is not None
        return read_card(self.store.folder / CARD)

    def outputs(self) -> TeacherOutputs:
        """What the module asks in every step."""
        if self.store is not None:
            return StoredTeacher()
        assert self.teacher is not None
        return LiveTeacher(self.teacher)

    def views(self, augment: Augmentation, seed: int) -> Views:
        """What training shows."""
        return NewViews(augment, seed) if self.store is None else self.store.views(augment, seed)

    def serving(self, objective: Objective) -> Supervision:
        """The same, or without the store where the objective reads what it does not hold.

        ``UserError`` where that needs the live teacher and its weights are not here.
        """
        if self.store is None or (lack := _lack(objective, self.store)) is None:
            return self
        if self.teacher is None:
            raise UserError(f"{lack}, and the weights of the live teacher are not here: name them with teacher.weights")
        _log.info("signals   %s: the live teacher is used", lack)
        return replace(self, store=None)

    def centres(self, labelled: FaceSet) -> Tensor:
        """The teacher's class centres [n t]: its own classifier, else the means of its embeddings."""
        if self.store is not None:
            return read_centres(self.store.folder, self.store.manifest)
        teacher = self.teacher
        assert teacher is not None
        if teacher.classifier is not None:
            return teacher.classifier
        made_from = self._made_from(labelled.fingerprint())
        return cached(self.cache, "centres", made_from, lambda: mean_centres(teacher, labelled))

    def distances(self, pairs: Pairs) -> np.ndarray | None:
        """The teacher's squared distances [p] of pairs: stored, kept by an earlier run or computed; None without it."""
        store = self.store
        stored = None if store is None else read_distances(store.folder, store.manifest, pairs.fingerprint())
        if stored is not None or self.teacher is None:
            return stored
        teacher, made_from = self.teacher, self._made_from(pairs.fingerprint())
        embeddings = cached(self.cache, "embeddings", made_from, lambda: pair_embeddings(teacher, pairs)).numpy()
        return distances(embeddings[0::2], embeddings[1::2])


def pair_embeddings(teacher: Teacher, pairs: Pairs) -> Tensor:
    """The teacher's flip-sum embeddings [2p t] of the images of pairs, with a bar."""
    with waiting(f"teacher on {pairs.name}", len(pairs.images), "images") as progress:
        return torch.from_numpy(embed_flip_sum(teacher, pairs.images, progress=progress))


@dataclass(frozen=True)
class TrainingView:
    """The faces of a run and how they are varied: what a store has to match."""

    labelled: FaceSet
    faces: FaceSet
    augment: Augmentation
    seed: int


def require_teacher(conf: TeacherConf, signals: str) -> None:
    """``UserError`` at once where neither the teacher nor a store of it is here, or its layout does not suit.

    At once, because data may take minutes to be made.
    """
    require_layout(conf)
    named = conf.network is not None or conf.weights is not None
    here = conf.weights is not None and Path(conf.weights).is_file()
    if named and not here and (signals == LIVE or (signals == AUTO and conf.name not in stored_teachers())):
        open_teacher(conf, "")  # raises: names what is missing


def supervise(
    conf: TeacherConf, signals: str, shown: TrainingView, cache: Path, file: NetworkFile | None = None
) -> Supervision | None:
    """Open the teacher, or a store of its signals, or both; None for ``teacher=none``.

    ``file`` is that of the teacher's weights, where the job has opened it.
    """
    if conf.network is None and conf.weights is None:
        return None
    here = conf.weights is not None and Path(conf.weights).is_file()
    teacher = open_teacher(conf, shown.labelled.fingerprint(), file) if here or signals == LIVE else None
    known = described_teacher(conf, teacher)
    wanted = Wanted(known, described_data(shown.faces), shown.augment, shown.seed, asked_precision(conf))
    folder, why = find_folder(signals, wanted)
    if folder is None:
        if signals == AUTO:
            _log.info("signals   %s: the teacher runs live", why)
        if teacher is None:
            open_teacher(conf, "")  # raises: names what is missing
        return Supervision(teacher, None, _live_id(teacher, known), cache)
    store = open_store(folder, shown.faces)
    with waiting(f"checking {folder}", store.manifest.images, "images") as progress:
        store.verify(progress)
    _log.info("signals   %s: stored outputs of %s in place of its passes", folder, conf.name)
    return Supervision(teacher, store, _live_id(teacher, known), cache)


def _live_id(teacher: Teacher | None, known: Mapping[str, Any]) -> str:
    """What changes with the teacher that is here: network, weights, preprocessing."""
    return "no teacher" if teacher is None else json.dumps(known, sort_keys=True)


def _lack(objective: Objective, store: SignalStore) -> str | None:
    """What the objective reads that a store does not hold, in words."""
    for term, maps in objective.full_maps().items():
        return f"term {term} reads all channels of {', '.join(maps)}, of which {store.folder} holds attention at most"
    missing = [name for name in objective.teacher_maps if name not in store.manifest.arrays]
    if missing:
        return f"a term reads the attention of {missing[0]}, which {store.folder} does not hold (maps=[{missing[0]}])"
    return None
