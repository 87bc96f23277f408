"""``make signals``: run a teacher once over a set of faces and store what it says of each image."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from distill.atomic import write_atomic
from distill.claims import Claims
from distill.data.augment import Augmentation
from distill.data.faceset import FaceSet
from distill.data.pairs import Pairs
from distill.data.views import FixedViews, MirrorViews, StoredViews
from distill.jobs.faces import augmentation, labelled_faces, verification_pairs, with_transfer
from distill.jobs.open_teacher import open_teacher, try_out
from distill.jobs.schema import SignalsConf
from distill.jobs.stored import ROOT, described_data, described_teacher
from distill.jobs.supervision import pair_embeddings
from distill.machine import loader_workers
from distill.metrics.verification import distances
from distill.signals.extras import (
    CARD,
    CENTRES,
    distances_path,
    mean_centres,
    read_centres,
    read_distances,
    write_centres,
    write_distances,
)
from distill.signals.manifest import MANIFEST, Manifest, first_difference, read_manifest
from distill.signals.sealed import Damaged
from distill.signals.shard import shard_path
from distill.signals.store import Store, damaged_shards
from distill.signals.write import Writer, shard_images
from distill.tracking.summary import print_facts
from distill.types import UserError
from distill.waiting import waiting
from teachers.card import write_card
from teachers.teacher import Teacher

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """The inputs: faces, how they are shown, the pairs that the teacher is tried on, and the teacher."""

    labelled: FaceSet
    faces: FaceSet
    views: StoredViews
    pairs: Sequence[Pairs]
    teacher: Teacher


def run(conf: SignalsConf) -> int:
    """Write every shard that is missing or damaged, then what is stored once; 0."""
    opened = _open(conf)
    wanted = _manifest(conf, opened)
    folder = Path(conf.out) if conf.out else ROOT / _name(conf, wanted)
    manifest = _bound(folder, wanted)
    claims = Claims(folder)
    try:
        _drop_damaged(folder, manifest, claims)
        written = _write_shards(conf, folder, manifest, opened, claims)
    finally:
        claims.close()
    if missing := _missing(folder, manifest):
        print(f"{len(missing)} of {manifest.shards} shards are being written by other processes; the last one finishes")
        return 0
    _write_extras(folder, manifest, opened)
    _tell(folder, manifest, written)
    return 0


def _open(conf: SignalsConf) -> Opened:
    if conf.batch_images < 1:
        raise UserError(f"batch_images is {conf.batch_images}; expected at least 1")
    if conf.views < 0:
        raise UserError(f"views is {conf.views}; expected 0 (image and mirror image) or a number of augmented views")
    labelled = labelled_faces(conf.data)
    augment, pairs = augmentation(conf.data), verification_pairs(conf.data)
    teacher = open_teacher(conf.teacher, labelled.fingerprint())
    if teacher is None:
        raise UserError("teacher=none has nothing to store; expected a teacher with weights")
    try_out(teacher, conf.teacher, pairs[0])
    return Opened(labelled, with_transfer(labelled, conf.data), _views(conf, augment), pairs, teacher)


def _views(conf: SignalsConf, augment: Augmentation) -> StoredViews:
    """What is stored of an image. Image and mirror image are the same whatever a later run's augmentation is."""
    if conf.views:
        return FixedViews(augment, conf.seed, conf.views)
    return MirrorViews(Augmentation(shift_px=0), conf.seed)


def _manifest(conf: SignalsConf, opened: Opened) -> Manifest:
    teacher = opened.teacher
    shapes = _shapes(teacher, conf.maps)
    packages = ("face-distill", "torch", "numpy", "onnxruntime", "opencv-python-headless", "simplejpeg")
    return Manifest(
        data=described_data(opened.faces),
        teacher={**described_teacher(conf.teacher, teacher), "map_channels": dict(teacher.map_channels)},
        views=opened.views.described(),
        arrays=shapes,
        shard_images=shard_images(len(opened.faces)),
        software={**{p: version(p) for p in packages}, "precision": teacher.precision},
    )


def _shapes(teacher: Teacher, maps: Sequence[str]) -> dict[str, list[int]]:
    """The shape of each stored output of one view."""
    for name in maps:
        if name not in teacher.map_channels:
            known = ", ".join(teacher.map_channels) or "none at all"
            raise UserError(f"maps: teacher {teacher.name} has no map {name!r}; it has {known}")
    shapes = {"embedding": [teacher.embedding_dim]}
    if maps:
        found = teacher.output(torch.zeros(1, 3, 112, 112, dtype=torch.uint8), maps=True).maps
        shapes |= {name: [1, *found[name].shape[-2:]] for name in maps}
    return shapes


def _name(conf: SignalsConf, manifest: Manifest) -> str:
    return f"{conf.teacher.name}-{conf.data.name}-{manifest.hash()[:8]}"


def _bound(folder: Path, wanted: Manifest) -> Manifest:
    """The folder's manifest, written now if it has none; ``UserError`` where it is that of another store."""
    if not (folder / MANIFEST).exists():
        write_atomic(folder / MANIFEST, wanted.to_json().encode())
    found = read_manifest(folder)
    asked = {k: v for k, v in json.loads(wanted.to_json()).items() if k != "software"}
    if (difference := first_difference(asdict(found), asked)) is not None:
        raise UserError(f"{folder} holds the signals of another run: {difference}; give another folder with out=DIR")
    return found


def _drop_damaged(folder: Path, manifest: Manifest, claims: Claims) -> None:
    """Verify the shards that are there, and remove those that are not whole, so that they are written anew."""
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


def _write_shards(conf: SignalsConf, folder: Path, manifest: Manifest, opened: Opened, claims: Claims) -> int:
    """Write what nobody else writes; the number of shards written here."""
    if not (todo := _missing(folder, manifest)):
        return 0
    device = "cuda" if torch.cuda.is_available() else "cpu"
    workers = loader_workers(device) if conf.workers is None else conf.workers
    writer = Writer(folder, manifest, opened.teacher, conf.batch_images, workers, conf.data.max_damaged)
    written = 0
    with waiting(f"signals of {opened.teacher.name}", sum(len(manifest.rows(s)) for s in todo), "images") as progress:
        while now := writer.write(opened.faces, opened.views, claims, progress):  # again: another may have died
            written += now
    for what in writer.damaged.values():
        _log.warning("%s: skipped; training skips it too", what)
    return written


def _missing(folder: Path, manifest: Manifest) -> list[int]:
    return [shard for shard in range(manifest.shards) if not shard_path(folder, shard).exists()]


def _write_extras(folder: Path, manifest: Manifest, opened: Opened) -> None:
    """Class centres, the teacher's distances of the verification pairs, and its card; what is there and whole stays."""
    if not _whole(folder / CENTRES, lambda: read_centres(folder, manifest)):
        centres = opened.teacher.classifier
        if centres is None:
            centres = mean_centres(Store(folder, opened.faces), opened.faces.labels, opened.faces.classes)
        write_centres(folder, manifest, centres)
    for pairs in opened.pairs:
        name = pairs.fingerprint()
        if not _whole(distances_path(folder, name), lambda name=name: read_distances(folder, manifest, name)):
            embeddings = pair_embeddings(opened.teacher, pairs).numpy()
            write_distances(folder, manifest, name, distances(embeddings[0::2], embeddings[1::2]))
    write_card(opened.teacher.card, folder / CARD)


def _whole(path: Path, read: Callable[[], object]) -> bool:
    """Whether a file is there and can be read; one that is damaged is named, because it is written again."""
    if not path.exists():
        return False
    try:
        read()
    except Damaged as error:
        _log.warning("%s; it is written again", error)
        return False
    return True


def _tell(folder: Path, manifest: Manifest, written: int) -> None:
    size = sum(path.stat().st_size for path in folder.iterdir())
    rows = [
        ("images", f"{manifest.images:,}, {manifest.columns} views each"),
        ("outputs", ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in manifest.arrays.items())),
        ("shards", f"{manifest.shards:,}, {written:,} written now"),
        ("size", f"{size:,} B, {size / manifest.images:,.0f} B an image"),
    ]
    print_facts("signals", rows)
    print(f"folder    {folder}\ndistil    make distill teacher={manifest.teacher['name']} … signals={folder}")
