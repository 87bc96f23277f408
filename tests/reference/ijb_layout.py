"""A small set in the layout of IJB: turned and enlarged pictures of computed faces, and the text files beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

OF_96_PX = [(30.2946, 51.6963), (65.5318, 51.5014), (48.0252, 71.7366), (33.5493, 92.3655), (62.7299, 92.2041)]
TEMPLATE_PX = np.array(OF_96_PX) + np.array([8, 0])
COLUMNS = "TEMPLATE_ID,SUBJECT_ID,FILENAME,SIGHTING_ID,FACE_X"


@dataclass
class Image:
    """One image: whose it is, in which template and medium, its crop RGB [112 112 3] and the detector's score."""

    person: int
    template: int
    medium: int
    crop: np.ndarray
    score: float


def face(person: int, number: int) -> np.ndarray:
    """A pattern of patches that is the person's own under noise that is the picture's."""
    patches = np.random.default_rng(person).integers(40, 216, (7, 7, 3))
    noise = np.random.default_rng([person, number]).normal(0, 110, (7, 7, 3))
    pixels = np.kron(patches + noise, np.ones((16, 16, 1)))
    return cv2.GaussianBlur(np.clip(pixels, 0, 255).astype(np.uint8), (0, 0), 4)


def turned(seed: int) -> np.ndarray:
    """A similarity [2 3] from a crop into a picture of 400 px: up to 35 degrees, 1.2 to 2 times the size."""
    rng = np.random.default_rng(seed)
    angle, scale = rng.uniform(-0.6, 0.6), rng.uniform(1.2, 2)
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = np.array([200, 200]) + rng.uniform(-15, 15, 2) - matrix @ np.array([56, 56])
    return np.column_stack([matrix, shift])


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points [n 2] under a matrix [2 3]."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def write_ijb(
    root: Path,
    images: Sequence[Image],
    pairs: Sequence[tuple[int, int, int]],
    galleries: Mapping[str, Sequence[int]],
    probes: Sequence[int],
    name: str = "ijbc",
) -> Path:
    """Write images, pairs of templates, and galleries and probes as lists of templates; returns ``root``."""
    (root / "loose_crop").mkdir(parents=True)
    (root / "meta").mkdir()
    faces, points = [], []
    for number, image in enumerate(images, 1):
        matrix = turned(number)
        loose = cv2.warpAffine(image.crop, matrix, (400, 400), flags=cv2.INTER_CUBIC, borderValue=(90, 90, 90))
        jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(loose), 95, "RGB", "444")
        (root / "loose_crop" / f"{number}.jpg").write_bytes(jpeg)
        faces.append(f"{number}.jpg {image.template} {image.medium}\n")
        places = " ".join(f"{value:.3f}" for value in moved(TEMPLATE_PX, matrix).ravel())
        points.append(f"{number}.jpg {places} {image.score}\n")
    meta = root / "meta"
    (meta / f"{name}_face_tid_mid.txt").write_text("".join(faces))
    (meta / f"{name}_name_5pts_score.txt").write_text("".join(points))
    (meta / f"{name}_template_pair_label.txt").write_text("".join(f"{a} {b} {s}\n" for a, b, s in pairs))
    for rest, templates in {**{f"gallery_{k}": v for k, v in galleries.items()}, "probe_mixed": probes}.items():
        listed = [(n, image) for n, image in enumerate(images, 1) if image.template in templates]
        rows = [f"{image.template},{image.person},img/{n}.jpg,7,12.5" for n, image in listed]
        (meta / f"{name}_1N_{rest}.csv").write_text("\n".join([COLUMNS, *rows]) + "\n")
    return root


@dataclass
class Small:
    """Six people: four are enrolled by one template each, in two galleries, all are looked for three times."""

    images: Sequence[Image]
    pairs: Sequence[tuple[int, int, int]]
    galleries: Mapping[str, Sequence[int]]
    probes: Sequence[int]

    def write(self, root: Path) -> Path:
        return write_ijb(root, self.images, self.pairs, self.galleries, self.probes)


def small() -> Small:
    """Templates 101 to 104 are the galleries', 10 p + k the probes of person p; each is a photograph and two frames."""
    templates = {100 + p: p for p in (1, 2, 3, 4)} | {10 * p + k: p for p in range(1, 7) for k in range(3)}
    images = []
    for template, person in templates.items():
        for shot, medium in enumerate((template * 7, template * 7 + 1, template * 7 + 1)):
            score = 0.5 + (template + shot) % 5 / 10
            images.append(Image(person, template, medium, face(person, template * 3 + shot), score))
    probes = [t for t in templates if t < 100]
    pairs = [(g, t, int(templates[g] == templates[t])) for g in (101, 102, 103, 104) for t in probes]
    return Small(images, pairs, {"G1": (101, 102), "G2": (103, 104)}, probes)
