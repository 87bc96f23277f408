"""One picture in every container, and what cameras and copies do to files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import simplejpeg

EXIF = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0{}\0\0\0\0\0\0"
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image),
    7: lambda image: np.rot90(image, 2).transpose(1, 0, 2),
    8: lambda image: np.rot90(image, -1),
}
"""How an upright picture [h w 3] is stored with each of EXIF's orientations (Exif 2.32, table 6)."""


def exif(orientation: int) -> bytes:
    return EXIF.format(chr(orientation)).encode("latin-1")


def saved(image: np.ndarray, suffix: str, *options: int) -> bytes:
    """RGB, RGBA or grey uint8 or uint16 by OpenCV."""
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    swapped = image if image.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(image), order[image.shape[2]])
    return cv2.imencode(suffix, swapped, options)[1].tobytes()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def jpeg_turned(image: np.ndarray, orientation: int) -> bytes:
    plain = simplejpeg.encode_jpeg(np.ascontiguousarray(STORED[orientation](image)), 100, "RGB", "444")
    block = b"Exif\0\0" + exif(orientation)
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]


def png_turned(image: np.ndarray, orientation: int) -> bytes:
    plain = saved(STORED[orientation](image), ".png")
    return plain[:-12] + png_chunk(b"eXIf", exif(orientation)) + plain[-12:]


def webp_turned(image: np.ndarray, orientation: int) -> bytes:
    stored, block = STORED[orientation](image), exif(orientation)
    plain = saved(stored, ".webp", cv2.IMWRITE_WEBP_QUALITY, 101)
    height, width = stored.shape[:2]
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = (
        b"WEBPVP8X" + struct.pack("<II", 10, 8) + sizes + plain[12:] + b"EXIF" + struct.pack("<I", len(block)) + block
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff(image: np.ndarray, orientation: int = 1, extra: dict[int, int] | None = None, content: bytes = b"") -> bytes:
    """A TIFF of one strip, stored turned; ``extra`` tags are SHORTs, ``content`` takes the place of the pixels."""
    stored = np.ascontiguousarray(STORED[orientation](image))
    height, width, samples = stored.shape
    pixels = content or stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    bits = 8 * stored.itemsize
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 2, 273: 8, 274: orientation, 277: samples, 278: height}
    tags |= {279: len(pixels), **(extra or {})}
    pixels += bytes(len(pixels) % 2)
    at = 8 + len(pixels)
    entries = {number: struct.pack("<HHII", number, 4, 1, value) for number, value in tags.items()}
    end = at + 2 + 12 * len(entries) + 4
    entries[258] = struct.pack("<HHII", 258, 3, samples, end)
    for number in extra or {}:
        entries[number] = struct.pack("<HHIHH", number, 3, 1, tags[number], 0)
    directory = b"".join(entries[number] for number in sorted(entries))
    depths = struct.pack(f"<{samples}H", *[bits] * samples)
    return b"II*\0" + struct.pack("<I", at) + pixels + struct.pack("<H", len(entries)) + directory + bytes(4) + depths


def containers(image: np.ndarray) -> dict[str, bytes]:
    """The same RGB picture without any loss, by what it is stored as."""
    alpha = np.dstack([image, np.tile(np.arange(image.shape[1], dtype=np.uint8), (len(image), 1))])
    wide = image.astype(np.uint16) * 257
    return {
        "png": saved(image, ".png"),
        "png of 16 bits": saved(wide, ".png"),
        "png with alpha": saved(alpha, ".png"),
        "webp": saved(image, ".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
        "bmp": saved(image, ".bmp"),
        "bmp with alpha": saved(alpha, ".bmp"),
        "tiff": saved(image, ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 1),
        "tiff by LZW": saved(image, ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 5),
        "tiff by deflate": saved(image, ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 8),
        "tiff by PackBits": saved(image, ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 32773),
        "tiff of 16 bits": saved(wide, ".tif"),
        "tiff with straight alpha": tiff(alpha, extra={338: 2}),
        "tiff with alpha of 16 bits": tiff(alpha.astype(np.uint16) * 257, extra={338: 2}),
    }
