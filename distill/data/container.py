"""Format of an encoded picture by its first bytes, its size by its header, and whether it is complete."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from distill.data import jpeg, tiff
from distill.data.faceset import DamagedImage
from distill.files.foreign import kind_of

READ = "JPEG, PNG, WebP, BMP or TIFF"
_PNG = b"\x89PNG\r\n\x1a\n"


class Container(NamedTuple):
    """Its name, and height and width as they are stored; of a JPEG the header."""

    name: str
    height: int
    width: int
    jpeg: jpeg.Header | None = None


def look(encoded: bytes) -> Container:
    """Format and size from the header; ``DamagedImage`` for formats that are not supported."""
    try:
        if encoded.startswith(jpeg.SIGNATURE):
            header = jpeg.read_header(encoded)
            return Container("JPEG", header.height, header.width, header)
        if encoded.startswith(_PNG):
            width, height = struct.unpack_from(">II", encoded, 16)  # IHDR, always the first chunk
            return Container("PNG", height, width)
        if encoded.startswith(b"RIFF") and encoded[8:12] == b"WEBP":
            return Container("WebP", *_webp_size(encoded))
        if encoded.startswith(tiff.SIGNATURES):
            return Container("TIFF", *tiff.tiff_size(encoded))
        if encoded.startswith(b"BM"):
            return Container("BMP", *_bmp_size(encoded))
    except struct.error:
        raise DamagedImage(f"is cut off within its header ({len(encoded)} bytes)") from None
    raise DamagedImage(_foreign(encoded))


def require_whole(name: str, encoded: bytes) -> None:
    """``DamagedImage`` for a PNG or WebP that is truncated, or holds several pictures."""
    if name == "PNG":
        kinds = [kind for kind, _ in _png_chunks(encoded)]
        # the chunk that makes a PNG an APNG
        if b"acTL" in kinds:
            raise DamagedImage("is an animated PNG; expected a single picture")
        if b"IEND" not in kinds:
            raise DamagedImage("incomplete PNG (it has no end)")
    elif name == "WebP":
        (size,) = struct.unpack_from("<I", encoded, 4)
        # RIFF counts without its own 8 bytes
        if size + 8 > len(encoded):
            raise DamagedImage(f"incomplete WebP ({len(encoded)} of {size + 8} bytes)")
        if encoded[12:16] == b"VP8X" and encoded[20] & 2:  # the animation flag
            raise DamagedImage("is an animated WebP; expected a single picture")


def _png_chunks(encoded: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the chunks up to the end; those that pixels depend on have to keep their checksum."""
    at = len(_PNG)
    while at + 12 <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, at)
        if (end := at + 12 + length) > len(encoded):
            break
        critical = not kind[0] & 0x20  # an upper-case first letter
        if critical and zlib.crc32(encoded[at + 4 : end - 4]) != struct.unpack_from(">I", encoded, end - 4)[0]:
            raise DamagedImage(f"incomplete PNG (the checksum of {kind.decode('latin-1')!r} does not fit)")
        yield kind, encoded[at + 8 : end - 4]
        if kind == b"IEND":
            return
        at = end
    raise DamagedImage(f"incomplete PNG (it ends within a chunk, at byte {len(encoded)})")


def _webp_size(encoded: bytes) -> tuple[int, int]:
    kind = encoded[12:16]
    if kind == b"VP8X":
        # 24 bits each, less one
        width, height = (int.from_bytes(encoded[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        # lossless: 14 bits each, less one, after the signature byte 0x2f
        (bits,) = struct.unpack_from("<I", encoded, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        # lossy: the upper two of 16 bits are a scale for display
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", encoded, 26))
    else:
        raise DamagedImage("incomplete WebP (it begins with no picture)")
    return height, width


def _bmp_size(encoded: bytes) -> tuple[int, int]:
    """A negative height means that rows are stored from top to bottom."""
    (header,) = struct.unpack_from("<I", encoded, 14)
    # 12 bytes: OS/2's header with 16-bit sides
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", encoded, 18)
    return abs(height), width


def _foreign(encoded: bytes) -> str:
    """What an unsupported file is, as far as that is known."""
    kind = kind_of(encoded)
    if kind is None:
        return f"is none of {READ} ({len(encoded)} bytes, beginning {encoded[:4].hex()})"
    return f"is {kind.words}; expected {READ}"
