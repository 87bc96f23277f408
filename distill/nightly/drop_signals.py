"""The teacher's signals of a night: written for drops that have none yet, and joined for the training of a student."""

from __future__ import annotations

import glob
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from distill.config.training_jobs import SignalsConf
from distill.data.pairs import Pairs
from distill.errors import UserError
from distill.files.json_file import through_json
from distill.files.network_file import NetworkFile
from distill.files.tensor_cache import CACHE, cached
from distill.nightly.frozen import FrozenDrop, FrozenSet
from distill.nightly.results import SignalsResult
from distill.runs.assemble import augmentation, open_teacher, try_out, verification_pairs
from distill.runs.signal_lookup import asked_precision, described_data, described_teacher, other_precision
from distill.runs.signal_writing import (
    Storing,
    bound,
    keep_centres,
    keep_distances,
    missing_shards,
    store_name,
    stored_views,
    teacher_distances,
)
from distill.signals.joined import JoinedStore, write_joined
from distill.signals.manifest import MANIFEST, first_difference, read_manifest
from distill.signals.set_outputs import CARD, mean_centres
from teachers.card import read_card, write_card

JOINED = "signals"
"""Folder of a night in which its joined store lies."""


class DropSignals:
    """The stores of all drops, each in a folder of its own below ``root``, named by drop, teacher and views.

    The teacher's weights are needed for new drops only: without them, stores that match by the teacher's name serve.
    """

    def __init__(self, conf: SignalsConf, root: Path, file: NetworkFile | None = None) -> None:
        """``file`` is that of the teacher's weights, where the job has opened it."""
        self._conf, self._root, self._file = conf, root, file
        self._views = stored_views(conf, augmentation(conf.data))

    @cached_property
    def _pairs(self) -> list[Pairs]:
        return verification_pairs(self._conf.data)

    @cached_property
    def _storing(self) -> Storing | None:
        """The teacher, where its weights are here."""
        conf = self._conf.teacher
        if conf.weights is None or not Path(conf.weights).is_file():
            return None
        # The classes of its own classifier, if it has one, are never those of drops.
        teacher = open_teacher(conf, "", self._file)
        assert teacher is not None
        return Storing(self._conf, teacher, self._views)

    @cached_property
    def _tried(self) -> bool:
        """Whether the teacher passed its trial; run once, before any of its outputs is stored."""
        assert self._storing is not None
        return try_out(self._storing.teacher, self._conf.teacher, self._pairs[0])

    def write(self, parts: Sequence[FrozenDrop]) -> tuple[list[Path], SignalsResult]:
        """Write what is missing or damaged; the store of each drop, and the counts for the night's record.

        Where a write is killed, the next call loses one shard of it at most.
        """
        begun_s, images_new = time.monotonic(), 0
        stores = []
        for part in parts:
            folder, written = self._filled(part) if self._storing else (self._found(part), 0)
            stores.append(folder)
            images_new += written
        images_kept = sum(map(len, parts)) - images_new
        seconds = round(time.monotonic() - begun_s, 1)
        return stores, SignalsResult(images_new, images_kept, seconds)

    def _filled(self, part: FrozenDrop) -> tuple[Path, int]:
        """The complete store of a drop, and how many images the teacher was run on for it just now."""
        storing = self._storing
        assert storing is not None
        wanted = storing.manifest(part)
        folder = self._root / store_name(part.drop, wanted, storing.precision)
        manifest = bound(folder, wanted, storing.precision)
        shards = storing.fill(folder, manifest, part, before=lambda: self._tried)
        if missing := missing_shards(folder, manifest):
            raise UserError(f"{folder}: {len(missing)} shards are being written by another process; wait for it")
        write_card(storing.teacher.card, folder / CARD)
        return folder, min(shards * manifest.shard_images, len(part))

    def _found(self, part: FrozenDrop) -> Path:
        """A complete store of a drop, matched by the teacher's name and network; ``UserError`` where there is none."""
        wanted = {
            "teacher": described_teacher(self._conf.teacher, None),
            "data": described_data(part),
            "views": self._views.described(),
        }
        for path in sorted(self._root.glob(f"{glob.escape(part.drop)}-*/{MANIFEST}")):
            manifest = read_manifest(path.parent)
            stored = through_json(asdict(manifest))
            complete = not missing_shards(path.parent, manifest)
            complete = complete and other_precision(manifest, asked_precision(self._conf.teacher)) is None
            arrays = {"embedding", *self._conf.maps}
            if complete and arrays == set(manifest.arrays) and not first_difference(stored, wanted):
                return path.parent
        open_teacher(self._conf.teacher, "")  # raises: names what is missing
        raise UserError("teacher=none has nothing to store; expected a teacher with weights")

    def join(self, night: Path, stores: Sequence[Path]) -> Path:
        """Make the signals of a night whose data have been vetted one store; its folder, for ``signals=FOLDER``."""
        faces, folder = FrozenSet(night), night / JOINED
        manifest = write_joined(folder, described_data(faces), stores)
        store = JoinedStore(folder, faces)
        keep_centres(folder, manifest, lambda: mean_centres(store, faces.labels, faces.classes))
        keep_distances(folder, manifest, self._pairs, self._distances)
        card = self._storing.teacher.card if self._storing else read_card(stores[-1] / CARD)
        write_card(card, folder / CARD)
        return folder

    def _distances(self, pairs: Pairs) -> np.ndarray | None:
        """The teacher's squared distances [p] of pairs, computed in one night and kept; None without its weights."""
        storing = self._storing
        if storing is None:
            return None
        made_from = (json.dumps(storing.described, sort_keys=True), storing.teacher.precision, pairs.fingerprint())
        made = cached(
            self._root / CACHE,
            "distances",
            made_from,
            lambda: torch.from_numpy(teacher_distances(storing.teacher, pairs)),
        )
        return made.numpy()
