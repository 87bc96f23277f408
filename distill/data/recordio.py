"""A training folder in InsightFace's layout: ``train.rec``, ``train.idx`` and ``property``.

Two layouts exist. With a header, key 0 is a record without an image whose two labels are (a, b): keys 1..a-1 are
images, keys a..b-1 are one empty record for each identity. Without one (im2rec, InsightFace's pip package), every key
is an image. The header is written last and a .idx may list keys in any order, so everything goes through the ``.idx``:
image i is the i-th image that it lists. Labels are float32 on disk, exact up to 2^24 only.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from distill.contents import contents_sha256
from distill.data.decode import RULE, check_crops
from distill.data.faceset import bytes_digest
from distill.data.records import Heads, RecordFile, read_index
from distill.file_kinds import RECORDS, TEXT
from distill.foreign import refuse_foreign
from distill.types import CROP_PX, UNLABELLED, UserError

FILES = ("train.rec", "train.idx", "property")
_EXACT_IN_FLOAT32 = 1 << 24


class RecordIOSet:
    """The faces of one folder; 24 bytes of memory per image, whatever the images weigh."""

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)
        _check_root(self._root)
        self.classes, announced = _read_property(self._root / "property")
        index_path = self._root / "train.idx"
        keys, offsets = read_index(index_path)
        self._records = RecordFile(self._root / "train.rec")
        if not len(keys):
            raise UserError(f"{index_path}: lists no records; expected a line for every image")
        heads = self._records.heads(keys, offsets)
        rows = _image_rows(index_path, keys, heads)
        self.keys, self._offsets = keys[rows], offsets[rows]
        if announced is not None and announced != len(self.keys):
            raise UserError(
                f"{self._root / 'property'}: says {announced} images, but {index_path} lists {len(self.keys)}: "
                "correct the second line or copy the folder again"
            )
        self.labels = self._whole_labels(np.where(heads.whole, heads.label, UNLABELLED)[rows], heads.whole[rows])
        self._fingerprint: str | None = None
        check_crops(self)

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

    def _whole_labels(self, stored: np.ndarray, whole: np.ndarray) -> np.ndarray:
        """The float32 labels [n] as int64, each checked to be the number of a class where its record is whole."""
        with np.errstate(invalid="ignore"):
            named = (stored >= 0) & (stored < self.classes) & (stored == np.floor(stored))
        wrong = np.flatnonzero(whole & ~named)
        if len(wrong):
            raise UserError(
                f"{self._root / 'property'}: says {self.classes} classes, but {self.name(wrong[0])} has label "
                f"{stored[wrong[0]]:g}; expected a whole number from 0 to {self.classes - 1}"
            )
        return stored.astype(np.int64)


def _check_root(root: Path) -> None:
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; expected one with {', '.join(FILES)}: set data.root=FOLDER")
    for name in FILES:
        if not (root / name).is_file():
            raise UserError(f"{root}: has no file {name}; expected {', '.join(FILES)} (InsightFace's RecordIO layout)")
        if not (root / name).stat().st_size:
            raise UserError(f"{root / name}: is empty; copy it again")
        refuse_foreign(root / name, f"the {name} of a RecordIO folder", RECORDS if name == FILES[0] else TEXT)


def _read_property(path: Path) -> tuple[int, int | None]:
    """Classes, and the number of images where the second line states it."""
    lines = path.read_text(errors="replace").split()
    try:
        classes, height, width = (int(part) for part in lines[0].split(","))
        announced = int(lines[1]) if len(lines) > 1 else None
    except (ValueError, IndexError) as error:
        said = " ".join(lines)[:60]
        raise UserError(f"{path}: says {said!r}; expected 'classes,height,width', such as 93431,112,112") from error
    if (height, width) != (CROP_PX, CROP_PX):
        raise UserError(f"{path}: says images of {width}x{height}; expected aligned {CROP_PX}x{CROP_PX} crops")
    if not 0 < classes <= _EXACT_IN_FLOAT32:
        raise UserError(f"{path}: says {classes} classes; expected 1 to {_EXACT_IN_FLOAT32}, the labels being float32")
    return classes, announced


def _image_rows(path: Path, keys: np.ndarray, heads: Heads) -> np.ndarray:
    """Which rows of the index are images: bool [n]."""
    if (~heads.whole & (keys == 0)).any():
        raise UserError(f"{path}: the record of key 0, which tells the layout, is damaged; copy the folder again")
    header = np.flatnonzero((keys == 0) & (heads.flag == 2) & (heads.image_bytes == 0))
    if not len(header):
        return np.ones(len(keys), bool)  # face2rec2 gives images flag 2 too: only an empty key 0 is a header
    first_identity = int(heads.label[header[0]])
    if first_identity > _EXACT_IN_FLOAT32:  # rounded when it was written: go by what the records hold
        return (keys != 0) & ((heads.image_bytes > 0) | ~heads.whole)
    rows = (keys > 0) & (keys < first_identity)
    if not 0 < rows.sum() == first_identity - 1:
        raise UserError(
            f"{path}: lists {rows.sum()} images, but the header (key 0) announces {first_identity - 1}; "
            "expected the same and at least one: copy the folder again"
        )
    return rows
