"""Encoded images to RGB arrays, strictly: a broken file is an error, never a half-grey face.

libjpeg-turbo through simplejpeg, because it reports a truncated stream where OpenCV fills it with grey, and takes
69 us for a 3 kB crop on one core of our machine against OpenCV's 80 us; the pixels are the same. PNG goes to OpenCV.
"""

from __future__ import annotations

import struct

import cv2
import numpy as np
import simplejpeg

from distill.data.faceset import DamagedImage, FaceSet, spread
from distill.foreign import kind_of
from distill.types import CROP_PX, UserError

RULE = 1
"""Which pixels a file means; raised with every change of that, so that what was made by another rule is made anew."""

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_PNG_HEADER_BYTES = 24
"""Signature, length and name of the first chunk, width and height."""


def decode_any(encoded: bytes) -> np.ndarray:
    """JPEG or PNG bytes to RGB uint8 [h w 3]; raises ``DamagedImage``."""
    if encoded.startswith(_JPEG):
        try:
            return simplejpeg.decode_jpeg(encoded, "RGB")
        except ValueError as error:
            raise DamagedImage(f"not a whole JPEG ({error})") from error
    if not encoded.startswith(_PNG):
        kind = kind_of(encoded)
        what = kind.words if kind else f"{len(encoded)} bytes, beginning {encoded[:4].hex() or 'nowhere'}"
        raise DamagedImage(f"neither JPEG nor PNG ({what})")
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR) if _PNG_END in encoded else None
    if image is None:
        raise DamagedImage("not a whole PNG")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def decode(encoded: bytes) -> np.ndarray:
    """JPEG or PNG bytes of an aligned crop to RGB uint8 [112 112 3]; raises ``DamagedImage``.

    Channels stay last, as the decoder writes them: a batch of these is a channels-last tensor without a copy. The size
    is read from the header first, because a file of some kB can decode to gigabytes.
    """
    if (size := _announced(encoded)) not in (None, (CROP_PX, CROP_PX)):
        raise DamagedImage(f"is {size[1]}x{size[0]}; expected an aligned {CROP_PX}x{CROP_PX} crop")
    return decode_any(encoded)


def _announced(encoded: bytes) -> tuple[int, int] | None:
    """Height and width by the file's header; None where it has none that can be read."""
    if encoded.startswith(_PNG) and len(encoded) >= _PNG_HEADER_BYTES:
        width, height = struct.unpack_from(">II", encoded, _PNG_HEADER_BYTES - 8)
        return height, width
    if not encoded.startswith(_JPEG):
        return None
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(encoded)
    except ValueError:
        return None
    return int(height), int(width)


def check_crops(faces: FaceSet, count: int = 16) -> None:
    """Decode a few images spread over the set: a set of another size is refused before training begins.

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
