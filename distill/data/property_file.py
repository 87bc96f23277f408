"""The file ``property`` of a RecordIO folder: ``classes,height,width``, and perhaps a second line with the images."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from distill.errors import UserError
from distill.files.foreign import foreign
from distill.files.kinds import EMPTY, TEXT, UTF16
from distill.types import CROP_PX

NAME = "property"
EXACT_IN_FLOAT32 = 1 << 24
"""Labels are float32, which holds every whole number up to this one."""

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Property:
    """Content of the file; ``images`` is None if it has no second number."""

    classes: int
    images: int | None


def read_property(path: Path) -> Property | None:
    """The file's content, with or without spaces and byte order mark; None where there is no such file.

    Lines after these two are notes, which readers of this layout ignore.
    """
    if not path.exists():
        return None
    first, *others = [line.strip() for line in _text(path).splitlines() if line.strip()] or [""]
    try:
        classes, height, width = (int(part) for part in first.split(","))
    except ValueError as error:
        problem = foreign(path, "the property of a RecordIO folder", TEXT, UTF16, EMPTY)
        raise UserError(
            problem
            or f"{path}: says {first[:60]!r}; expected 'classes,height,width', such as 93431,112,112: correct it, or "
            "delete it, and the classes are counted in the records"
        ) from error
    if (height, width) != (CROP_PX, CROP_PX):
        raise UserError(f"{path}: says images of {width}x{height}; expected aligned {CROP_PX}x{CROP_PX} crops")
    if not 0 < classes <= EXACT_IN_FLOAT32:
        raise UserError(f"{path}: says {classes} classes; expected 1 to {EXACT_IN_FLOAT32}, the labels being float32")
    return Property(classes, int(others[0]) if others and others[0].isdecimal() else None)


def _text(path: Path) -> str:
    content = path.read_bytes()
    return content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig", "replace")
