"""JPEG: its header, and its pixels if all of them are there (ITU-T T.81).

libjpeg-turbo has one kind of warning for two cases: bytes that no pixel depends on, and pixels that it had to make up.
Only the first warning reaches us. So a file with a warning is rewritten without the bytes that no pixel depends on
(between segments, foreign segments, everything after the end, a missing end); if it still warns, it is truncated.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import simplejpeg

from distill.data.entropy import Coded, TornError
from distill.data.faceset import DamagedImage

SIGNATURE = b"\xff\xd8"
EXIF = b"Exif\0\0"
_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_DHT, _SOS, _DRI, _APP0, _APP1, _APP14 = 0xC4, 0xDA, 0xDD, 0xE0, 0xE1, 0xEE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_DECODED = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
"""Frames of 8 bits that libjpeg-turbo decodes: baseline, extended and progressive, by Huffman or arithmetic code."""
_SEQUENTIAL = {0xC0, 0xC1, 0xC9}
_KEPT = {_DHT, 0xCC, 0xDB, _DRI, _SOS, _APP14, *_FRAMES}
"""Segments that pixels depend on: tables, frame, scans, and Adobe's colour transform."""
_MARKER = re.compile(rb"\xff+[\x01-\xfe]")
_AFTER_SCAN = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
_SUPERFLUOUS = "extraneous bytes before marker"


class Header(NamedTuple):
    """The frame's header and the EXIF block, empty for none."""

    height: int
    width: int
    components: int
    exif: bytes


class _Segment(NamedTuple):
    """``data[begin:end]`` with marker and length; for a scan its coded data too, up to ``stop``."""

    marker: int
    begin: int
    end: int
    stop: int


def read_header(data: bytes) -> Header:
    """The header before the first scan; ``DamagedImage`` if it is truncated or of an unsupported kind."""
    exif, frame = b"", None
    for segment in _segments(data):
        inside = data[segment.begin + 4 : segment.end]
        if segment.marker == _APP1 and inside.startswith(EXIF) and not exif:
            exif = inside[len(EXIF) :]
        elif segment.marker in _FRAMES:
            frame = frame or _frame(segment.marker, inside)
        elif segment.marker == _SOS and frame is not None:
            return Header(*frame, exif)
    raise DamagedImage("incomplete JPEG (it has no picture)")


def read_jpeg(data: bytes, header: Header) -> np.ndarray:
    """The pixels in stored orientation, RGB uint8 [h w 3]; ``DamagedImage`` if some are missing."""
    try:
        return _pixels(data, header.components)
    except ValueError:
        return _mended(data, header.components)


def _pixels(data: bytes, components: int) -> np.ndarray:
    """RGB from one, three or four components; CMYK is stored inverted, as Adobe's programs do."""
    if components != 4:
        return simplejpeg.decode_jpeg(data, "RGB")
    inks = simplejpeg.decode_jpeg(data, "CMYK").astype(np.uint16)
    # inverted inks are shares of light: colour times black over 255, rounded
    return ((inks[..., :3] * inks[..., 3:] + 127) // 255).astype(np.uint8)


def _mended(data: bytes, components: int) -> np.ndarray:
    """The pixels of a file that libjpeg warns about."""
    clean, ended = _without_rest(data, components)
    try:
        return _pixels(clean, components)
    except ValueError as error:
        reason = f"incomplete JPEG ({error})"
    if not ended or _SUPERFLUOUS not in reason:
        raise DamagedImage(reason)
    try:
        return _pixels(_without_superfluous(clean), components)
    except (ValueError, TornError, LookupError):  # a table, or part of one, is not there
        raise DamagedImage(reason) from None


def _without_superfluous(clean: bytes) -> bytes:
    """The file without the coded data that no block needs."""
    state, parts = Coded(), [_SOI]
    for segment in _segments(clean):
        inside, coded = clean[segment.begin + 4 : segment.end], clean[segment.end : segment.stop]
        if segment.marker == _DHT:
            state.define_tables(inside)
        elif segment.marker == _DRI:
            state.interval = int.from_bytes(inside[:2], "big")
        elif segment.marker in _FRAMES:
            state.begin_frame(segment.marker, inside)
        elif segment.marker == _SOS:
            coded = state.needed(inside, coded)
        parts += [clean[segment.begin : segment.end], coded]
    return b"".join(parts)


def _without_rest(data: bytes, components: int) -> tuple[bytes, bool]:
    """Only tables, frame and scans, in order, with an end marker, and whether the file had one.

    ``DamagedImage`` if it had none and scans are missing too.
    """
    parts, scans, frame, ended = [_SOI], [], 0, False
    for segment in _segments(data):
        if segment.marker == _EOI[1]:
            ended = True
        elif segment.marker == _APP0 and data[segment.begin + 4 : segment.begin + 9] == b"JFIF\0":
            # the marker decides the colour space; its thumbnail and version do not count
            parts.append(b"\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0")
        elif segment.marker in _KEPT:
            frame = segment.marker if segment.marker in _FRAMES else frame
            head, coded = data[segment.begin : segment.end], data[segment.end : segment.stop]
            if segment.marker == _SOS:
                # coefficients 0 to 63 at full precision, as a sequential scan must have them; libjpeg warns of other
                # values
                head = head[:-3] + b"\0\x3f\0" if frame in _SEQUENTIAL else head
                scans.append(head)
            parts += [head, coded.rstrip(b"\xff") if segment.stop == len(data) else coded]
    if not ended and (data.endswith(b"\0\0") or not _complete(scans, frame, components)):  # zeros were never written
        raise DamagedImage("incomplete JPEG (it ends before its last scan)")
    return b"".join([*parts, _EOI]), ended


def _complete(scans: list[bytes], frame: int, components: int) -> bool:
    """Whether the scans hold every bit of every component; a file without an end may lack some."""
    left: dict[int, set[int]] = {}
    for scan in scans:
        spectrum, (first, last, bits) = scan[5 : 5 + 2 * scan[4] : 2], scan[-3:]
        for component in spectrum:
            missing = left.setdefault(component, set(range(64)))
            if frame in _SEQUENTIAL:
                missing.clear()
            elif not bits & 15:
                missing -= set(range(first, last + 1))
    return len(left) == components and not any(left.values())


def _frame(marker: int, inside: bytes) -> tuple[int, int, int]:
    """Height, width and components."""
    if len(inside) < 6:
        raise DamagedImage("incomplete JPEG (its frame is cut off)")
    bits, height, width, components = struct.unpack_from(">BHHB", inside)
    if bits != 8 or marker not in _DECODED:
        kind = "" if marker in _DECODED else "lossless or hierarchical "
        raise DamagedImage(f"is a {kind}JPEG of {bits} bits; expected a baseline or progressive one of 8 bits")
    if not height or not width:
        raise DamagedImage(f"is a JPEG of {width}x{height}; expected its size in its header")
    return height, width, components


def _segments(data: bytes) -> Iterator[_Segment]:
    """Every segment up to the end of the picture; bytes between them are skipped, as by libjpeg."""
    at = len(_SOI)
    while (found := _MARKER.search(data, at)) is not None:
        marker, begin = data[found.end() - 1], found.end() - 2
        at = found.end()
        if marker == 0x01 or 0xD0 <= marker <= 0xD9:  # TEM, restarts, start and end have no length
            yield _Segment(marker, begin, at, at)
            if marker == _EOI[1]:
                return
            continue
        if at + 2 > len(data):
            return
        end = at + struct.unpack_from(">H", data, at)[0]
        if end < at + 2 or end > len(data):
            return
        stop = end
        if marker == _SOS:
            after = _AFTER_SCAN.search(data, end)
            stop = len(data) if after is None else after.start()  # stuffed zeros and restarts belong to the scan
        yield _Segment(marker, begin, end, stop)
        at = stop
