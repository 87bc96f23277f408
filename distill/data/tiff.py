"""TIFF: the tags of the first picture in a file, and whether its pixels are complete (TIFF 6.0, BigTIFF).

EXIF is a TIFF without a picture. libtiff returns partial pictures when compressed data end early, so their length is
checked here first. It also multiplies colours by alpha, unless the file declares them premultiplied.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from distill.data.faceset import DamagedImage
from distill.data.jpeg import read_header, read_jpeg

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, OFFSETS, ORIENTATION, SAMPLES = 256, 257, 258, 259, 262, 273, 274, 277
ROWS, COUNTS, PLANES, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 278, 279, 284, 322, 323, 324, 325
ALPHA, FORMAT, TABLES = 338, 339, 347
_FORMATS = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_UNSIGNED, _STRAIGHT, _PREMULTIPLIED, _SEPARATE, _JPEG = 1, 2, 1, 2, 7


class Tag(NamedTuple):
    """The integers of one tag, and their byte offset in the file."""

    values: tuple[int, ...]
    at: int


def read_tags(data: bytes) -> dict[int, Tag]:
    """The integer tags of the first directory; ``DamagedImage`` where it is incomplete."""
    order, big = ("<" if data[:2] == b"II" else ">"), data[2:4] in (b"+\0", b"\0+")  # 43, "+": BigTIFF
    word, entry, field = ("Q", "HHQ", 8) if big else ("I", "HHI", 4)
    try:
        (begin,) = struct.unpack_from(order + word, data, 8 if big else 4)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, begin)
        first, size = begin + (8 if big else 2), struct.calcsize("=" + entry) + field
        # a damaged count would loop over millions of entries
        if count * size > len(data):
            raise struct.error
        found = {}
        for at in range(first, first + count * size, size):
            number, kind, items = struct.unpack_from(order + entry, data, at)
            place = at + size - field
            if items * _SIZES.get(kind, 1) > field:  # too long for the entry: it holds an offset
                (place,) = struct.unpack_from(order + word, data, place)
            if kind in _FORMATS and place + items * _SIZES[kind] <= len(data):
                found[number] = Tag(struct.unpack_from(f"{order}{items}{_FORMATS[kind]}", data, place), place)
        return found
    except (struct.error, OverflowError):
        raise DamagedImage("incomplete TIFF (its directory is cut off)") from None


def orientation(exif: bytes) -> int:
    """EXIF orientation, 1 to 8; 1, upright, if there is none."""
    try:
        found = read_tags(exif) if exif.startswith(SIGNATURES) else {}
    except DamagedImage:
        return 1
    values = found[ORIENTATION].values if ORIENTATION in found else ()
    return values[0] if values and 1 <= values[0] <= 8 else 1


def tiff_size(data: bytes) -> tuple[int, int]:
    """Height and width of the first picture."""
    tags = read_tags(data)
    return _one(tags, HEIGHT), _one(tags, WIDTH)


def whole_tiff(data: bytes) -> bytes:
    """The file to give to libtiff; ``DamagedImage`` for a picture that is truncated or not of 1 to 16 bits."""
    tags = read_tags(data)
    bits, kind = max(_many(tags, BITS, (1,))), _one(tags, FORMAT, _UNSIGNED)
    separate = _one(tags, PLANES, 1) == _SEPARATE
    if kind != _UNSIGNED or bits > 16 or (separate and bits > 8):
        what = f"{'floating-point' if kind == 3 else 'signed' if kind == 2 else 'unsigned'} numbers of {bits} bits"
        raise DamagedImage(f"is a TIFF of {what}{' in separate planes' if separate else ''}; expected 8 or 16 bits")
    expanded = _expanders(tags)
    for piece, expected in _pieces(data, tags, bits, separate):
        if not expanded(piece, expected):
            raise DamagedImage("incomplete TIFF (its compressed data end early or are damaged)")
    return _undarkened(data, tags)


def _one(tags: Mapping[int, Tag], number: int, default: int | None = None) -> int:
    values = tags[number].values if number in tags else ()
    if not values and default is None:
        raise DamagedImage(f"incomplete TIFF (it has no tag {number})")
    return values[0] if values else int(default or 0)


def _many(tags: Mapping[int, Tag], number: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
    return (tags[number].values if number in tags else ()) or default


def _pieces(data: bytes, tags: Mapping[int, Tag], bits: int, separate: bool) -> Iterator[tuple[bytes, int]]:
    """Every strip or tile as stored, with its size in bytes when expanded."""
    height, width, samples = _one(tags, HEIGHT), _one(tags, WIDTH), _one(tags, SAMPLES, 1)
    planes, per_pixel = (samples, bits) if separate else (1, samples * bits)
    if TILE_OFFSETS in tags:
        offsets, counts = _many(tags, TILE_OFFSETS), _many(tags, TILE_COUNTS)
        side, tall = max(_one(tags, TILE_WIDTH), 1), max(_one(tags, TILE_HEIGHT), 1)
        number = -(-width // side) * -(-height // tall)
        # tiles at the edge are stored in full
        sizes = itertools.repeat(tall * -(-side * per_pixel // 8), number * planes)
    else:
        offsets, counts = _many(tags, OFFSETS), _many(tags, COUNTS)
        row, tall = -(-width * per_pixel // 8), max(min(_one(tags, ROWS, height), height), 1)
        number = -(-height // tall)
        # the last strip of each plane is shorter
        sizes = (row * min(tall, height - top) for _ in range(planes) for top in range(0, height, tall))
    if not len(offsets) == len(counts) >= number * planes:
        raise DamagedImage("incomplete TIFF (it does not say where all of its pixels are)")
    for offset, count, size in zip(offsets, counts, sizes, strict=False):
        if not 0 < offset <= offset + count <= len(data) or not count:
            raise DamagedImage(f"incomplete TIFF (its pixels reach to byte {offset + count} of {len(data)})")
        yield data[offset : offset + count], size


def _expanders(tags: Mapping[int, Tag]) -> Callable[[bytes, int], bool]:
    """The check of a stored piece for the file's compression: whether it expands to enough bytes."""
    compression = _one(tags, COMPRESSION, 1)
    tables = bytes(_many(tags, TABLES))
    known = {
        1: lambda piece, size: len(piece) >= size,
        5: lambda piece, size: _lzw_bytes(piece) >= size,
        _JPEG: lambda piece, _: _is_jpeg(tables, piece),
        8: _is_deflated,
        32946: _is_deflated,
        32773: lambda piece, size: _packed_bytes(piece) >= size,
    }
    if compression not in known:
        raise DamagedImage(f"is a TIFF of compression {compression}; expected none, LZW, deflate, PackBits or JPEG")
    return known[compression]


def _is_deflated(piece: bytes, size: int) -> bool:
    """Whether a zlib stream expands to ``size`` bytes and ends with its checksum; no more of it is expanded."""
    stream = zlib.decompressobj()
    try:
        made = len(stream.decompress(piece, size + 1))
        return made > size or (made == size and stream.eof)
    except zlib.error:
        return False


def _is_jpeg(tables: bytes, piece: bytes) -> bool:
    """Whether an abbreviated JPEG is complete, with the tables that all of the file's pieces share."""
    # without the end marker of one and the start marker of the other
    whole = tables[:-2] + piece[2:] if tables else piece
    try:
        read_jpeg(whole, read_header(whole))
    except DamagedImage:
        return False
    return True


def _packed_bytes(piece: bytes) -> int:
    """Number of bytes that PackBits data expand to."""
    at = made = 0
    while at < len(piece):
        head = piece[at]
        # up to 127: that many bytes and one follow; above 128: one byte 257 - head times; 128: nothing
        length = head + 1 if head < 128 else 257 - head if head > 128 else 0
        at += 1 + (length if head < 128 else head > 128)
        made += length if at <= len(piece) else 0
    return made


_LZW_CLEAR, _LZW_END = 256, 257


def _lzw_bytes(piece: bytes) -> int:
    """Number of bytes that TIFF's LZW expands to, -1 at an invalid code; only lengths are followed, no bytes made."""
    value, bits, width, made = 0, 0, 9, 0
    lengths: list[int] = []
    fresh = True
    for byte in piece:
        value, bits = (value << 8 | byte) & 0xFFFFFF, bits + 8
        if bits < width:
            continue
        bits -= width
        code = value >> bits & ((1 << width) - 1)
        if code == _LZW_END:
            return made
        if code == _LZW_CLEAR:
            lengths, width, fresh, before = [1] * 258, 9, True, 0
            continue
        if not lengths or code > len(lengths) - (1 if fresh else 0) or len(lengths) > 4096:
            return -1
        # the code being defined right now is the previous string and one byte
        length = lengths[code] if code < len(lengths) else before + 1
        if not fresh:
            lengths.append(before + 1)
        made, before, fresh = made + length, length, False
        # TIFF widens codes one entry early ("early change")
        width = 9 + (len(lengths) >= 511) + (len(lengths) >= 1023) + (len(lengths) >= 2047)
    return made


def _undarkened(data: bytes, tags: Mapping[int, Tag]) -> bytes:
    """The file with its alpha declared premultiplied, so that libtiff returns the colours as stored."""
    if _many(tags, ALPHA)[:1] != (_STRAIGHT,):
        return data
    at, changed = tags[ALPHA].at, bytearray(data)
    struct.pack_into("<H" if data[:2] == b"II" else ">H", changed, at, _PREMULTIPLIED)
    return bytes(changed)
