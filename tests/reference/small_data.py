"""A data root of computed pictures that every job can run on in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import simplejpeg

from distill.data.pairs import write_pairs
from reference.recordio import payload, write_set

PEOPLE, PICTURES, PAIRS = 6, 5, 24
SMALL_STUDENT = tuple(
    f"student.network.{option}" for option in ("widths=[8,8,8,8]", "units=[1,1,1]", "last_channels=16")
)
"""A student of some thousand weights."""

SMALL_TEACHER = (
    "teacher=r50",
    "teacher.network._target_=distill.students.mobilefacenet.MobileFaceNet",
    *(f"~teacher.network.{option}" for option in ("units", "block", "se", "dropout", "eps")),
    "+teacher.network.blocks=[1,1,1,1]",
    "teacher.network.embedding_dim=16",
)
"""A teacher with weights of 2 MB in place of 170."""


def picture(person: int, number: int) -> bytes:
    """A pattern of seven by seven patches that is the person's own, under noise that is the picture's; as JPEG."""
    patches = np.random.default_rng(person).integers(40, 216, (7, 7, 3))
    noise = np.random.default_rng([person, number]).integers(-30, 31, (112, 112, 3))
    pixels = np.clip(np.kron(patches, np.ones((16, 16, 1), int)) + noise, 0, 255).astype(np.uint8)
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), 90, "RGB", "444")


def write_small_root(folder: Path) -> Path:
    """Six people, five pictures each, as RecordIO, and 24 pairs of four other people in ``lfw_small.bin``."""
    images = {p * PICTURES + n: payload(picture(p, n), float(p)) for p in range(PEOPLE) for n in range(PICTURES)}
    write_set(folder, images, classes=PEOPLE)
    rows = [(100 + k % 4, 100 + (k % 4 if k % 2 else (k + 1) % 4), k) for k in range(PAIRS)]
    encoded = [image for a, b, k in rows for image in (picture(a, 2 * k), picture(b, 2 * k + 1))]
    write_pairs(folder / "lfw_small.bin", encoded, [a == b for a, b, _ in rows])
    return folder


def write_small_drop(drops: Path, name: str, people: int = PEOPLE, pictures: int = PICTURES) -> None:
    """A drop of a night: a folder for each person, with pictures 0, 1, ... of each."""
    for person in range(people):
        folder = drops / name / f"person-{person}"
        folder.mkdir(parents=True)
        for number in range(pictures):
            (folder / f"{number}.jpg").write_bytes(picture(person, number))
