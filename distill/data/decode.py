"""Encoded images to RGB arrays, strictly: a broken file is an error, never a half-grey face.

One rule for folders, lists, records, pairs, IJB and drops, and the same pixels whatever a picture is stored as. A
file's format is that of its first bytes, not of its name. EXIF orientation is applied. Grey becomes three channels,
palettes their colours, CMYK RGB; of 16 bits the upper 8 count; alpha is left out, and no colour profile is applied.
These are the pixels that ``cv2.imdecode(..., IMREAD_COLOR)`` gives, by which InsightFace and MXNet read faces.

JPEGs go to libjpeg-turbo through simplejpeg, because it reports a truncated stream where OpenCV fills it with grey,
and takes 69 us for a 3 kB crop on one core of our machine against OpenCV's 80 us; the pixels are the same.
"""

from __future__ import annotations

import cv2
import numpy as np

from distill.data.container import Container, look, require_whole
from distill.data.faceset import DamagedImage, FaceSet, spread
from distill.data.jpeg import read_jpeg
from distill.data.tiff import orientation, whole_tiff
from distill.errors import UserError
from distill.types import CROP_PX

RULE = 2
"""Version of the rule from bytes to pixels: raise it with every change, so that derived files are recomputed."""
MOST_PIXELS = 1 << 26
"""Limit for one picture, 200 MB decoded: a file of some kB can announce gigabytes."""

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # errors are reported here, once


def decode_any(encoded: bytes) -> np.ndarray:
    """The upright picture in JPEG, PNG, WebP, BMP or TIFF bytes, RGB uint8 [h w 3]; raises ``DamagedImage``."""
    found = look(encoded)
    if not 0 < found.height * found.width <= MOST_PIXELS:
        raise DamagedImage(f"is {found.width}x{found.height}; expected at most {MOST_PIXELS:,} pixels")
    return _pixels(found, encoded)


def decode(encoded: bytes) -> np.ndarray:
    """The same of an aligned crop, uint8 [112 112 3]; raises ``DamagedImage``.

    Channels stay last, as the decoder writes them: a batch of these is a channels-last tensor without a copy. The size
    is read from the header first.
    """
    found = look(encoded)
    if (found.height, found.width) != (CROP_PX, CROP_PX):
        raise DamagedImage(f"is {found.width}x{found.height}; expected an aligned {CROP_PX}x{CROP_PX} crop")
    return _pixels(found, encoded)


def _pixels(found: Container, encoded: bytes) -> np.ndarray:
    if found.jpeg is not None:
        return upright(read_jpeg(encoded, found.jpeg), orientation(found.jpeg.exif))
    require_whole(found.name, encoded)
    if found.name == "TIFF":
        encoded = whole_tiff(encoded)
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        image = None
    # sorted, because OpenCV has applied the EXIF orientation, which may swap the sides
    if image is None or sorted(image.shape[:2]) != sorted((found.height, found.width)):
        raise DamagedImage(f"incomplete {found.name}")
    if image.dtype == np.uint16:
        # the upper byte, as OpenCV's own 8-bit decoding takes it
        image = np.right_shift(image, 8).astype(np.uint8)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def upright(image: np.ndarray, stored: int) -> np.ndarray:
    """Undo one of EXIF's eight orientations of a picture [h w 3]; 1 is upright."""
    # EXIF 5 to 8 are stored on their side: transpose first, then flip
    if stored >= 5:
        image = image.transpose(1, 0, 2)
    if stored in (3, 4, 7, 8):
        image = image[::-1]
    if stored in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def check_crops(faces: FaceSet, count: int = 16) -> None:
    """Check a few images spread over the set: a set of another size is refused before training starts.

    An image that is merely broken passes here; training reports, counts and skips it.
    """
    for index in spread(count, len(faces)):
        try:
            height, width = decode_any(faces.read(index)).shape[:2]
        except DamagedImage:
            continue
        if (height, width) != (CROP_PX, CROP_PX):
            raise UserError(
                f"{faces.name(index)}: is {width}x{height}; expected an aligned {CROP_PX}x{CROP_PX} crop: "
                "align the faces to the ArcFace template first"
            )
