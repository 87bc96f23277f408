"""``make faces``: a sheet of synthetic faces to look at; a row is a person, a column a picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from distill.config.training_jobs import ContactSheetConf
from distill.data.synth.nuisance import EVERYDAY
from distill.data.synth.render import Sitter
from distill.data.synth.streams import Key, Split
from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.files.writable import require_writable
from distill.progress import waiting
from distill.shown import shown

MAX_FACES = 2000
_GAP_PX = 4


def run(conf: ContactSheetConf) -> int:
    """Write the PNG: the first people of the training split, as the data set would show them."""
    _check(conf)
    require_writable(Path(conf.out), "out=FILE")
    with waiting("drawing faces", conf.people * conf.pictures, "faces") as progress:
        rows = []
        for person in range(conf.people):
            sitter = Sitter(Key(conf.seed, Split.train, person))
            faces = [sitter.portrait(n, EVERYDAY, conf.side_px).image for n in range(conf.pictures)]
            rows.append(np.hstack([_framed(face) for face in faces]))
            progress(conf.pictures)
    write_atomic(Path(conf.out), cv2.imencode(".png", np.vstack(rows)[..., ::-1])[1].tobytes())
    print(f"{conf.people} people, {conf.pictures} pictures of each: {shown(conf.out)}")
    return 0


def _framed(face: np.ndarray) -> np.ndarray:
    edge = _GAP_PX // 2
    return np.pad(face, ((edge, edge), (edge, edge), (0, 0)), constant_values=255)


def _check(conf: ContactSheetConf) -> None:
    limits = {"people": (1, MAX_FACES), "pictures": (1, MAX_FACES), "seed": (0, (1 << 32) - 1), "side_px": (56, 1024)}
    for name, (low, high) in limits.items():
        if not low <= getattr(conf, name) <= high:
            raise UserError(f"{name} is {getattr(conf, name)}; expected {low} to {high}")
    if conf.people * conf.pictures > MAX_FACES:
        raise UserError(f"people times pictures is {conf.people * conf.pictures}; expected at most {MAX_FACES} faces")
    if Path(conf.out).suffix.lower() != ".png":
        raise UserError(f"out is {conf.out!r}; expected a file that ends in .png")
