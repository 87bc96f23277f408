"""IJB-B and IJB-C in the layout that is usual in face recognition: a folder of loose crops and a few text files.

    IJBC/loose_crop/*.jpg
    IJBC/meta/ijbc_face_tid_mid.txt           name template medium
    IJBC/meta/ijbc_name_5pts_score.txt        name x1 y1 ... x5 y5 score, line by line the same images
    IJBC/meta/ijbc_template_pair_label.txt    template template 0 or 1
    IJBC/meta/ijbc_1N_gallery_G1.csv          TEMPLATE_ID,SUBJECT_ID,FILENAME,..., a line for each image
    IJBC/meta/ijbc_1N_probe_mixed.csv         the same

IJB-B calls its galleries S1 and S2. Layout: ``recognition/arcface_torch/eval_ijbc.py`` and
``recognition/_evaluation_/ijb`` of deepinsight/insightface. Everything is checked as it is read; an error
names file and line.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distill.data.align import align
from distill.data.decode import RULE, decode_any
from distill.data.faceset import DamagedImage
from distill.data.inside import Inside
from distill.data.text_table import TableLine, columns_of, lines_of, parsed
from distill.errors import UserError
from distill.files.foreign import refuse_foreign
from distill.files.kinds import EMPTY, TEXTS

FACES, POINTS, PAIRS = "face_tid_mid.txt", "name_5pts_score.txt", "template_pair_label.txt"
_LINES = 1 << 18  # of the pairs at once
_PAIR = "'template template 0' or '... 1'"

Ints = NDArray[np.int64]
Rows = NDArray[np.int32]


@dataclass(frozen=True)
class IjbFolder:
    """The files of a set; ``name`` is "ijbb" or "ijbc", or another prefix of its file names."""

    root: Path
    name: str

    def meta(self, rest: str) -> Path:
        return self.root / "meta" / f"{self.name}_{rest}"

    def image(self, name: str) -> Path:
        return self.root / "loose_crop" / name

    def galleries(self) -> dict[str, Path]:
        """The files of the galleries by their short names, "G1" and "G2" say."""
        found = sorted((self.root / "meta").glob(f"{self.name}_1N_gallery_*.csv"))
        return {path.stem.rpartition("_")[2]: path for path in found}

    def probes(self) -> Path:
        return self.meta("1N_probe_mixed.csv")


@dataclass(frozen=True, eq=False)
class LooseFaces:
    """The n images of a set: int64 ``template`` and ``medium`` [n], ``points_px`` [n 5 2], detector's ``score`` [n]."""

    folder: IjbFolder
    names: Sequence[str]
    template: Ints
    medium: Ints
    points_px: NDArray[np.float64]
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.names)

    def path(self, row: int) -> Path:
        return self.folder.image(self.names[row])

    def crop(self, row: int) -> NDArray[np.uint8]:
        """The aligned crop RGB [112 112 3] of one image; raises ``DamagedImage``."""
        try:
            return align(decode_any(self.path(row).read_bytes()), self.points_px[row])
        except OSError as error:
            raise DamagedImage(f"cannot be read ({error.strerror})") from error

    def fingerprint(self) -> str:
        """Hex sha256 of the content of the text files about images, and of the decoding rule."""
        digest = hashlib.sha256("\n".join(self.names).encode(errors="surrogateescape"))
        for values in (self.template, self.medium, self.points_px, self.score):
            digest.update(values.tobytes())
        digest.update(f"rule {RULE}".encode())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class TemplatePairs:
    """Pairs of templates as rows int32 [p] of the sorted templates; ``same`` [p] is True where both are one person."""

    left: Rows
    right: Rows
    same: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.same)


@dataclass(frozen=True, eq=False)
class Enrolment:
    """The templates of a gallery or of the probes: rows int32 [k] of the sorted templates, int64 ``subject`` [k]."""

    template: Rows
    subject: Ints


def find_ijb(root: Path) -> IjbFolder:
    """The set in a folder; UserError where it is none or lacks a file of the 1:1 protocol."""
    found = sorted((root / "meta").glob(f"*_{FACES}"))
    if len(found) != 1:
        raise UserError(
            f"{root}: has {len(found)} files meta/*_{FACES}; expected one: data.root is the folder IJBB or IJBC, "
            "with meta and loose_crop in it"
        )
    folder = IjbFolder(root, found[0].name.removesuffix(f"_{FACES}"))
    for path in (folder.meta(POINTS), folder.meta(PAIRS)):
        if not path.is_file():
            raise UserError(f"{path}: no such file; expected it beside {found[0].name}")
    return folder


def read_faces(folder: IjbFolder) -> LooseFaces:
    """Templates, media, points and scores of all images; every image must be there."""
    names: list[str] = []
    numbers = array("q")  # 8 bytes a number: a list of ints takes five times as much
    for line in lines_of(folder.meta(FACES), 3, "'name template medium'"):
        names.append(line.words[0])
        numbers.extend((line.whole(1), line.whole(2)))
    if not names:
        raise UserError(f"{folder.meta(FACES)}: is empty; expected 'name template medium' on every line")
    template, medium = np.array(numbers, np.int64).reshape(-1, 2).T.copy()
    points = _read_points(folder, names)
    # (n, 11): ten coordinates, then the score
    return LooseFaces(folder, names, template, medium, points[:, :10].reshape(-1, 5, 2), points[:, 10].copy())


def _read_points(folder: IjbFolder, names: Sequence[str]) -> NDArray[np.float64]:
    """Points and score [n 11] of the images, which must come in the order of ``names``."""
    path, numbers, count = folder.meta(POINTS), array("d"), 0
    inside = Inside(folder.image(""))
    for line in lines_of(path, 12, "'name x1 y1 ... x5 y5 score'"):
        name = line.words[0]
        if count == len(names) or name != names[count]:
            wanted = "no further image" if count == len(names) else repr(names[count])
            raise line.wrong(f"names {name!r}; expected {wanted}, in the order of {folder.meta(FACES).name}")
        if folder.image(name) not in inside:
            raise line.wrong(f"names {name!r}, which leaves {folder.image('')}; expected an image below it")
        if not os.path.isfile(folder.image(name)):
            raise line.wrong(f"names {name!r}; expected the image {folder.image(name)}, which is not there")
        values = [line.real(column) for column in range(1, 12)]
        # no similarity maps one point to five
        if len(set(zip(values[0:10:2], values[1:10:2], strict=True))) == 1:
            raise line.wrong(f"puts all five points at {values[0]:g}, {values[1]:g}; expected the points of a face")
        numbers.extend(values)
        count += 1
    if count < len(names):
        raise UserError(f"{path}: has {count} images; expected the {len(names)} of {folder.meta(FACES).name}")
    return np.array(numbers, np.float64).reshape(-1, 11)


def require_scores(faces: LooseFaces) -> None:
    """``UserError`` for a detector's score below 0, and for a template none of whose images has one above 0.

    An image counts times its score, so that such a template would have no direction.
    """
    path = faces.folder.meta(POINTS)
    if (faces.score < 0).any():
        row = int(np.argmax(faces.score < 0))
        raise UserError(
            f"{path}: gives {faces.names[row]} the detector's score {faces.score[row]:g}; expected 0 or more, or "
            "detector_score=false, which counts all images alike"
        )
    templates, rows = np.unique(faces.template, return_inverse=True)
    empty = np.bincount(rows, weights=faces.score) <= 0
    if empty.any():
        first = int(np.argmax(empty[rows]))
        raise UserError(
            f"{path}: gives every image of template {faces.template[first]} ({faces.names[first]} is one) the "
            f"detector's score 0, as of {int(empty.sum()):,} of {len(templates):,} templates; expected an image with "
            "a score above 0 in each, or detector_score=false, which counts all images alike"
        )


def read_template_pairs(
    folder: IjbFolder, templates: Ints, progress: Callable[[int], None] | None = None
) -> TemplatePairs:
    """The pairs of the 1:1 protocol among the sorted ``templates`` [t]; 9 bytes of memory a pair.

    ``progress`` is called with the number of bytes of each block of lines.
    """
    path, blocks, first = folder.meta(PAIRS), [], 1
    refuse_foreign(path, f"a text of lines {_PAIR}", *TEXTS, EMPTY)
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        while lines := list(islice(file, _LINES)):
            blocks.append(_read_block(path, first, lines, templates))
            first += len(lines)
            if progress is not None:
                progress(sum(map(len, lines)))
    if not sum(map(len, blocks)):
        raise UserError(f"{path}: holds no pairs; expected {_PAIR} on every line")
    left, right, same = (np.concatenate([block[:, column] for block in blocks]) for column in range(3))
    return TemplatePairs(left, right, same.astype(bool))


def _read_block(path: Path, first: int, lines: Sequence[str], templates: Ints) -> Rows:
    """Some lines as int32 [k 3], parsed at once if all are valid, else one by one to name the error."""
    try:
        with warnings.catch_warnings():
            # of empty lines alone NumPy only warns
            warnings.simplefilter("error")
            numbers = np.loadtxt(lines, np.int64, comments=None, ndmin=2)
    except (ValueError, Warning):
        numbers = np.empty((0, 0), np.int64)
    if numbers.shape[1] == 3:
        rows = _rows_of(numbers[:, :2], templates)
        if (rows >= 0).all() and np.isin(numbers[:, 2], (0, 1)).all():
            return np.column_stack([rows, numbers[:, 2].astype(np.int32)])
    known = {int(name): row for row, name in enumerate(templates)}
    found = [_pair(line, known) for line in parsed(path, first, lines, 3, _PAIR)]
    return np.array(found, np.int32).reshape(-1, 3)


def _pair(line: TableLine, known: dict[int, int]) -> tuple[int, int, int]:
    left, right, same = (line.whole(column) for column in range(3))
    if same not in (0, 1):
        raise line.wrong(f"has the label {same}; expected 0 or 1")
    return _row_of(line, left, known), _row_of(line, right, known), same


def _rows_of(names: Ints, templates: Ints) -> Rows:
    """Rows of the names among the sorted templates, -1 for unknown ones."""
    # searchsorted gives len for a name above all: clamped, then compared
    rows = np.minimum(np.searchsorted(templates, names), len(templates) - 1)
    return np.where(templates[rows] == names, rows, -1).astype(np.int32)


def _row_of(line: TableLine, template: int, known: dict[int, int]) -> int:
    if template not in known:
        raise line.wrong(f"names template {template}; expected one that has an image")
    return known[template]


def read_enrolment(path: Path, templates: Ints) -> Enrolment:
    """The templates in a gallery's or the probes' table, each once, among the sorted ``templates`` [t]."""
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; expected a table with TEMPLATE_ID and SUBJECT_ID for 1:N identification"
        )
    known = {int(name): row for row, name in enumerate(templates)}
    subjects: dict[int, int] = {}
    for line in columns_of(path, ("TEMPLATE_ID", "SUBJECT_ID")):
        row, subject = _row_of(line, line.whole(0), known), line.whole(1)
        if subjects.setdefault(row, subject) != subject:
            raise line.wrong(f"gives template {line.words[0]} to subject {subject}; expected {subjects[row]}, as above")
    if not subjects:
        raise UserError(f"{path}: lists no templates; expected a line for each image")
    return Enrolment(np.array(list(subjects), np.int32), np.array(list(subjects.values()), np.int64))
