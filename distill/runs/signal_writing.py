"""Filling a store of teacher outputs: bound to its inputs, damaged shards written again, set outputs written once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.config.training_jobs import SignalsConf
from distill.data.augment import Augmentation
from distill.data.damage import Damage
from distill.data.faceset import FaceSet
from distill.data.pairs import Pairs
from distill.data.views import FixedViews, MirrorViews, StoredViews
from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.files.claims import Claims
from distill.files.json_file import through_json
from distill.metrics.verification import distances
from distill.progress import waiting
from distill.runs.signal_lookup import asked_precision, described_data, described_teacher, other_precision
from distill.runs.supervision import pair_embeddings
from distill.signals.checksummed import DamagedFile
from distill.signals.manifest import MANIFEST, SignalManifest, first_difference, read_manifest
from distill.signals.set_outputs import (
    CENTRES,
    distances_path,
    read_centres,
    read_distances,
    write_centres,
    write_distances,
)
from distill.signals.store import damaged_shards, shard_path
from distill.signals.writer import FlipSum, Writer, shard_images
from distill.training.machine import loader_workers
from teachers.teacher import Teacher

_log = logging.getLogger(__name__)


_PACKAGES = ("face-distill", "torch", "numpy", "onnxruntime", "opencv-python-headless", "simplejpeg")


@dataclass(frozen=True)
class Storing:
    """Whose outputs are stored, for which views, and how."""

    conf: SignalsConf
    teacher: Teacher
    views: StoredViews

    def manifest(self, faces: FaceSet) -> SignalManifest:
        """That of a store of these faces."""
        return SignalManifest(
            data=described_data(faces),
            teacher=self.described,
            views=self.views.described(),
            arrays=self._shapes,
            shard_images=shard_images(len(faces)),
            software={**{p: version(p) for p in _PACKAGES}, "precision": self.teacher.precision},
        )

    @property
    def precision(self) -> str | None:
        """That of the teacher's arithmetic where the configuration asks for one."""
        return asked_precision(self.conf.teacher)

    @cached_property
    def described(self) -> dict[str, Any]:
        """The teacher's part of a manifest."""
        known = described_teacher(self.conf.teacher, self.teacher)
        return {**known, "map_channels": dict(self.teacher.map_channels)}

    @cached_property
    def _shapes(self) -> dict[str, list[int]]:
        """The shape of each stored output of one view."""
        teacher, maps = self.teacher, self.conf.maps
        for name in maps:
            if name not in teacher.map_channels:
                known = ", ".join(teacher.map_channels) or "none at all"
                raise UserError(f"maps: teacher {teacher.name} has no map {name!r}; it has {known}")
        shapes = {"embedding": [teacher.embedding_dim]}
        if maps:
            found = teacher.output(torch.zeros(1, 3, 112, 112, dtype=torch.uint8), maps=True).maps
            shapes |= {name: [1, *found[name].shape[-2:]] for name in maps}
        return shapes

    def fill(
        self, folder: Path, manifest: SignalManifest, faces: FaceSet, before: Callable[[], object] = lambda: None
    ) -> int:
        """Write every shard that is missing or damaged and not claimed by another process; their number.

        ``before`` is called once where there is anything to write.
        """
        claims = Claims(folder)
        try:
            _drop_damaged(folder, manifest, claims)
            if not missing_shards(folder, manifest):
                return 0
            before()
            return self._write(folder, manifest, faces, claims)
        finally:
            claims.close()

    def _write(self, folder: Path, manifest: SignalManifest, faces: FaceSet, claims: Claims) -> int:
        todo, conf, teacher = missing_shards(folder, manifest), self.conf, self.teacher
        device = "cuda" if torch.cuda.is_available() else "cpu"
        workers = loader_workers(device) if conf.workers is None else conf.workers
        damage = Damage(conf.data.max_damaged, "data.max_damaged", "this set")
        outputs = FlipSum(teacher) if conf.flip_sum else teacher
        writer = Writer(folder, manifest, outputs, conf.batch_images, workers, damage)
        written = 0
        with waiting(f"signals of {teacher.name}", sum(len(manifest.rows(s)) for s in todo), "images") as progress:
            while now := writer.write(faces, self.views, claims, progress):  # again: another may have died
                written += now
        return written


def stored_views(conf: SignalsConf, augment: Augmentation) -> StoredViews:
    """What is stored of an image. Image and mirror image are the same whatever a later run's augmentation is."""
    if conf.batch_images < 1:
        raise UserError(f"batch_size is {conf.batch_images}; expected at least 1")
    if conf.views < 0:
        raise UserError(f"views is {conf.views}; expected 0 (image and mirror image) or a number of augmented views")
    if conf.flip_sum and (conf.views or conf.maps):
        other = f"views={conf.views}" if conf.views else f"maps={conf.maps}"
        raise UserError(f"flip_sum=true stores one embedding of an image and its mirror image; expected no {other}")
    if conf.views:
        return FixedViews(augment, conf.seed, conf.views)
    return MirrorViews(Augmentation(shift_px=0), conf.seed, conf.flip_sum)


def store_name(what: str, manifest: SignalManifest, precision: str | None) -> str:
    """What the folder of a store is called; one whose ``precision`` was asked for stands beside that of another."""
    return f"{what}-{manifest.hash()[:8]}" + ("" if precision is None else f"-{precision}")


def bound(folder: Path, wanted: SignalManifest, precision: str | None) -> SignalManifest:
    """The folder's manifest, written now if it has none; ``UserError`` where it is that of another store."""
    if not (folder / MANIFEST).exists():
        write_atomic(folder / MANIFEST, wanted.to_json().encode())
    found = read_manifest(folder)
    asked: dict[str, Any] = {k: v for k, v in through_json(asdict(wanted)).items() if k != "software"}
    difference = first_difference(asdict(found), asked) or other_precision(found, precision)
    if difference is not None:
        raise UserError(f"{folder} holds the signals of another run: {difference}; give another folder with out=DIR")
    return found


def missing_shards(folder: Path, manifest: SignalManifest) -> list[int]:
    return [shard for shard in range(manifest.shards) if not shard_path(folder, shard).exists()]


def keep_centres(folder: Path, manifest: SignalManifest, make: Callable[[], Tensor]) -> None:
    """Write class centres unless they are stored and intact."""
    if not _whole(folder / CENTRES, lambda: read_centres(folder, manifest)):
        write_centres(folder, manifest, make())


def keep_distances(
    folder: Path, manifest: SignalManifest, pairs: Iterable[Pairs], make: Callable[[Pairs], np.ndarray | None]
) -> None:
    """Write the teacher's distances of pairs unless they are stored and intact, or cannot be computed here."""
    for one in pairs:
        name = one.fingerprint()
        if _whole(distances_path(folder, name), lambda name=name: read_distances(folder, manifest, name)):
            continue
        if (found := make(one)) is not None:
            write_distances(folder, manifest, name, found)


def teacher_distances(teacher: Teacher, pairs: Pairs) -> np.ndarray:
    """The teacher's squared distances [p] of pairs."""
    embeddings = pair_embeddings(teacher, pairs).numpy()
    return distances(embeddings[0::2], embeddings[1::2])


def _drop_damaged(folder: Path, manifest: SignalManifest, claims: Claims) -> None:
    """Verify the stored shards, and remove damaged ones, so that they are written again."""
    there = [shard for shard in range(manifest.shards) if shard_path(folder, shard).exists()]
    if not there:
        return
    with waiting(f"checking {folder}", len(there), "shards") as progress:
        for shard, error in damaged_shards(folder, manifest, there):
            if error is not None and claims.take(shard):
                _log.warning("%s; it is written again", error)
                shard_path(folder, shard).unlink(missing_ok=True)
                claims.free(shard)
            progress(1)


def _whole(path: Path, read: Callable[[], object]) -> bool:
    """Whether a file is there and can be read; one that is damaged is named, because it is written again."""
    if not path.exists():
        return False
    try:
        read()
    except DamagedFile as error:
        _log.warning("%s; it is written again", error)
        return False
    return True
