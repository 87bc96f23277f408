"""From the data's configuration to a training set and its verification pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from distill.data.augment import Augmentation
from distill.data.damage import Damage
from distill.data.faceset import FaceSet, Joined, Listed
from distill.data.pairs import Pairs, read_pairs, sets_in
from distill.data.synth.recipe import identity_of
from distill.jobs.build import build
from distill.jobs.schema import DataConf, ReplayConf
from distill.metrics.folds import FOLDS
from distill.nightly.replay import replayed
from distill.types import UserError


def labelled_faces(conf: DataConf) -> FaceSet:
    """The set whose people are known."""
    if conf.max_damaged < 0:
        raise UserError(f"data.max_damaged is {conf.max_damaged}; expected 0 or more broken images to skip")
    return _open(conf, Path(conf.root))


def with_transfer(labelled: FaceSet, conf: DataConf) -> FaceSet:
    """The labelled set, joined with the transfer sets where there are any."""
    transfer = [_open(conf, _inside(conf, place)) for place in conf.transfer]
    return Joined(labelled, transfer) if transfer else labelled


def shown_rows(conf: ReplayConf, labelled: FaceSet, faces: FaceSet, seed: int) -> np.ndarray | None:
    """Rows int64 [k] of ``faces`` that are shown: all new ones and a share of the old. None is all of them."""
    if conf.share is None:
        return None
    if not 0 <= conf.share <= 1:
        raise UserError(f"replay.share is {conf.share}; expected 0 (no old images) to 1 (all of them)")
    if conf.old_images is None or not 0 <= conf.old_images <= len(labelled):
        raise UserError(
            f"replay.old_images is {conf.old_images} beside replay.share={conf.share}; expected how many of the set's "
            f"{len(labelled)} labelled images, from the first on, are old"
        )
    old = replayed(labelled.labels[: conf.old_images], conf.share, seed, conf.night)
    rows = np.concatenate([old, np.arange(conf.old_images, len(faces))])
    if len(rows) == 0:
        raise UserError(f"replay.share is {conf.share} and no image is new; expected one image to show at least")
    return rows


def augmentation(conf: DataConf) -> Augmentation:
    return build(conf.augment, "data.augment")


def verification_pairs(conf: DataConf) -> list[Pairs]:
    """The sets that students and teachers are scored on, the main one first.

    ``data.pairs`` names one, or a folder of them; otherwise they lie in the root. Every ``*.bin`` of a folder counts,
    sorted by name with those called lfw first. Pairs with an image that cannot be read are left out, up to
    ``data.max_damaged`` of those images.
    """
    damage = Damage(conf.max_damaged, "data.max_damaged", "these pairs")
    if conf.pairs is not None and (named := _inside(conf, conf.pairs)).is_file():
        return [_enough(named, damage)]
    folder = Path(conf.root) if conf.pairs is None else _inside(conf, conf.pairs)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such file; expected a verification set (.bin), or a folder of them")
    found = sets_in(folder)
    if not found:
        raise UserError(
            f"no verification pairs: {folder} holds no *.bin; put lfw.bin there or name one with data.pairs=FILE.bin"
        )
    return [_enough(path, damage) for path in found]


def _enough(path: Path, damage: Damage) -> Pairs:
    """The set, which needs a pair for each fold of the standard protocol."""
    pairs = replace(read_pairs(path, damage), identity=identity_of(path))
    if len(pairs) < FOLDS:
        raise UserError(f"{path} has {len(pairs)} pairs; expected at least {FOLDS}, one for each fold of the protocol")
    return pairs


def _open(conf: DataConf, root: Path) -> Any:
    faces = build(conf.reader, "data.reader", root=root)
    if isinstance(faces, Listed):
        print(f"{root}: {faces.told}")
    return faces


def _inside(conf: DataConf, place: str) -> Path:
    """A path as given where that exists, else below the root."""
    return Path(place) if Path(place).exists() else Path(conf.root) / place
