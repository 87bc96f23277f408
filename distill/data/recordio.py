"""A training folder in InsightFace's layout: ``train.rec``, ``train.idx`` and ``property``.

Two layouts exist. With a header, key 0 is a record without an image whose two labels are (a, b): keys 1..a-1 are
images, keys a..b-1 are one empty record for each identity. Without one (im2rec, InsightFace's pip package), every key
is an image. The header is written last and a .idx may list keys in any order, so everything goes through the ``.idx``:
image i is the i-th image that it lists. Labels are float32 on disk, exact up to 2^24 only.

The records suffice: if ``train.idx`` or ``property`` is missing, or the header has no numbers, their content is
rebuilt from ``train.rec``, and a note is logged.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np

from distill.data.decode import RULE, check_crops
from distill.data.faceset import bytes_digest
from distill.data.property_file import EXACT_IN_FLOAT32, NAME, Property, read_property
from distill.data.records import Heads, RecordFile, read_index
from distill.errors import UserError
from distill.files.contents import contents_sha256
from distill.files.foreign import refuse_foreign
from distill.files.kinds import RECORDS as RECORD_FILE
from distill.files.kinds import TEXT
from distill.types import UNLABELLED

RECORDS, INDEX = "train.rec", "train.idx"
FILES = (RECORDS, INDEX, NAME)

_log = logging.getLogger(__name__)


class RecordIOSet:
    """The faces of one folder; 24 bytes of memory per image, whatever the size of the images."""

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)
        _check_root(self._root)
        stated = read_property(self._root / NAME)
        self._records = RecordFile(self._root / RECORDS)
        index_path = self._root / INDEX
        listed = index_path.exists()
        keys, offsets = read_index(index_path) if listed else self._records.scan()
        if not len(keys):
            raise UserError(f"{index_path}: lists no records; expected a line for every image, or no such file")
        heads = self._records.heads(keys, offsets)
        rows = _image_rows(index_path, keys, heads) if listed else _holds_image(heads)
        self.keys, self._offsets = keys[rows], offsets[rows]
        stored = np.where(heads.whole, heads.label, UNLABELLED)[rows]
        self.classes = _counted(stored) if stated is None else stated.classes
        self._log_missing(listed, stated)
        self.labels = self._whole_labels(stored, heads.whole[rows], stated is not None)
        self._fingerprint: str | None = None
        check_crops(self)

    def _log_missing(self, listed: bool, stated: Property | None) -> None:
        """Log what was rebuilt from the records; ``UserError`` where ``property`` counts other images."""
        if not listed:
            _log.info("data      %s: has no %s; %d images found in %s", self._root, INDEX, len(self.keys), RECORDS)
        if stated is None:
            _log.info("data      %s: has no %s; %d classes by its labels", self._root, NAME, self.classes)
        elif stated.images not in (None, len(self.keys)):
            raise UserError(
                f"{self._root / NAME}: says {stated.images} images, but {self._root / INDEX} lists {len(self.keys)}: "
                "correct or delete the second line, or copy the folder again"
            )

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, index: int) -> bytes:
        return self._records.image(int(self._offsets[index]))

    def name(self, index: int) -> str:
        return f"{self._records.path} key {self.keys[index]} at offset {self._offsets[index]}"

    def digest(self, index: int, encoded: bytes) -> int:
        return bytes_digest(encoded)

    def fingerprint(self) -> str:
        """Hex sha256 of classes, keys, offsets, labels, all bytes of the file, and the rule of decoding."""
        if self._fingerprint is None:
            digest = hashlib.sha256(f"recordio {self.classes} rule {RULE}".encode())
            for array in (self.keys, self._offsets, self.labels):
                digest.update(array.tobytes())
            digest.update(contents_sha256(lambda: [self._records.path], str(self._root)).encode())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def _whole_labels(self, stored: np.ndarray, whole: np.ndarray, counted_elsewhere: bool) -> np.ndarray:
        """The float32 labels [n] as int64, each checked to be the number of a class where its record is whole."""
        # a label may be NaN: comparisons give False, and NumPy would warn
        with np.errstate(invalid="ignore"):
            named = (stored >= 0) & (stored < self.classes) & (stored == np.floor(stored))
        wrong = np.flatnonzero(whole & ~named)
        if len(wrong):
            owner = f"{self._root / NAME}: says {self.classes} classes, but " if counted_elsewhere else ""
            raise UserError(
                f"{owner}{self.name(wrong[0])} has label {stored[wrong[0]]:g}; expected an integer "
                f"from 0 to {self.classes - 1}"
            )
        return stored.astype(np.int64)


def _check_root(root: Path) -> None:
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; expected one with {', '.join(FILES)}: set data.root=FOLDER")
    if not (root / RECORDS).is_file():
        others = sorted(path.stem for path in root.glob("*.rec"))
        named = f"; rename {others[0]}.rec to {RECORDS}, and {others[0]}.idx to {INDEX}" if others else ""
        raise UserError(
            f"{root}: has no file {RECORDS}; expected {', '.join(FILES)} (InsightFace's RecordIO layout){named}"
        )
    if not (root / RECORDS).stat().st_size:
        raise UserError(f"{root / RECORDS}: is empty; copy it again")
    for name in (RECORDS, INDEX):
        if (root / name).is_file() and (root / name).stat().st_size:
            refuse_foreign(root / name, f"the {name} of a RecordIO folder", RECORD_FILE if name == RECORDS else TEXT)


def _counted(stored: np.ndarray) -> int:
    """Number of classes in the float32 labels [n]: the highest label plus 1."""
    named = stored[(stored >= 0) & (stored < EXACT_IN_FLOAT32)]
    return int(named.max()) + 1 if len(named) else 1


def _holds_image(heads: Heads) -> np.ndarray:
    """Which records hold an image: bool [n]. A broken one may have held one."""
    return (heads.image_bytes > 0) | ~heads.whole


def _image_rows(path: Path, keys: np.ndarray, heads: Heads) -> np.ndarray:
    """Which rows of the index are images: bool [n]."""
    if (~heads.whole & (keys == 0)).any():
        raise UserError(f"{path}: the record of key 0, which tells the layout, is damaged; copy the folder again")
    header = np.flatnonzero((keys == 0) & (heads.flag == 2) & (heads.image_bytes == 0))
    if not len(header):
        return np.ones(len(keys), bool)  # face2rec2 gives images flag 2 too: only an empty key 0 is a header
    first_identity = heads.label[header[0]]
    if not 0 < first_identity <= EXACT_IN_FLOAT32:  # no number, or one beyond float32's exact integers
        _log.info(
            "data      %s: the header (key 0) says %g; images are the records that hold one", path, first_identity
        )
        return (keys != 0) & _holds_image(heads)
    # by key, not by place: an index may list keys in any order
    rows = (keys > 0) & (keys < first_identity)
    if not 0 < rows.sum() == int(first_identity) - 1:
        raise UserError(
            f"{path}: lists {rows.sum()} images, but the header (key 0) announces {int(first_identity) - 1}; expected "
            "the same and at least one: copy it again, or delete it, and it is made from the records"
        )
    return rows
