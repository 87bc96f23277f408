"""Where the coded data of a JPEG's scans really end (ITU-T T.81, annexes F and G), for files that hold more bytes.

libjpeg warns of bytes left over, but not whether they follow the last pixel or a piece before them is missing. A
stream that lost a piece is out of step, and soon has a block with more coefficients than there are. Parsed in Python,
block by block: some 20 ms for a crop, and only for files with a warning.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_PROGRESSIVE = 0xC2
_LAST = 63
Blocks = Callable[[], None]


class TornError(Exception):
    """The coded data end before the last block, or go out of step."""


class Component(NamedTuple):
    """Blocks of one component: across and down in an MCU, and in a scan of its own."""

    across: int
    down: int
    alone: int


class _Bits:
    """Bits of one restart interval, without stuffed zeros; zeros beyond its end."""

    def __init__(self, coded: bytes) -> None:
        self._data = coded.replace(b"\xff\0", b"\xff")
        self._at = self._held = self._count = self.taken = 0

    def _fill(self) -> None:
        while self._count < 16:
            # at most 24 bits are held: fewer than 16, and one byte more
            self._held = (self._held << 8 | (self._data[self._at] if self._at < len(self._data) else 0)) & 0xFFFFFF
            self._at, self._count = self._at + 1, self._count + 8

    def take(self, count: int) -> int:
        if not count:
            return 0
        self._fill()
        self._count -= count
        self.taken += count
        return self._held >> self._count & ((1 << count) - 1)

    def skip(self, count: int) -> None:
        self.take(count)

    def symbol(self, table: Sequence[int]) -> int:
        self._fill()
        found = table[self._held >> (self._count - 16) & 0xFFFF]  # the next 16 bits: no code is longer
        if not found:
            raise TornError
        self._count -= found >> 8
        self.taken += found >> 8
        return found & 255

    @property
    def left(self) -> int:
        """Number of bits not yet taken."""
        return 8 * len(self._data) - self.taken

    def needed(self) -> bytes:
        """The bytes that were taken from, stuffed again; the last one has to be filled up with ones (T.81, F.1.2.3)."""
        size, padding = -(-self.taken // 8), (1 << -self.taken % 8) - 1  # whole bytes; mask of the unused low bits
        if size > len(self._data) or (size and self._data[size - 1] & padding != padding):
            raise TornError
        return self._data[:size].replace(b"\xff", b"\xff\0")


@dataclass
class Coded:
    """Tables and frame as the segments of a file give them, one after the other."""

    frame: int = 0
    interval: int = 0
    mcus: int = 0
    components: dict[int, Component] = field(default_factory=dict)
    tables: dict[int, Sequence[int]] = field(default_factory=dict)
    known: dict[int, list[int]] = field(default_factory=dict)
    """For each block of a component, a bit mask of the coefficients that earlier scans have set."""

    def define_tables(self, inside: bytes) -> None:
        """Huffman tables, by their class and number."""
        while inside:
            counts = inside[1:17]
            self.tables[inside[0]] = _table(counts, inside[17 : 17 + sum(counts)])
            inside = inside[17 + sum(counts) :]

    def begin_frame(self, marker: int, inside: bytes) -> None:
        height, width, count = struct.unpack_from(">HHB", inside, 1)
        parts = [inside[6 + 3 * i : 9 + 3 * i] for i in range(count)]
        # sampling factors, a nibble each
        across, down = max(part[1] >> 4 for part in parts), max(part[1] & 15 for part in parts)
        self.frame = marker
        # MCUs of 8 * factor pixels, rounded up: those at the edges are coded in full
        self.mcus = -(-width // (8 * across)) * -(-height // (8 * down))
        for number, sampling, _ in parts:
            # a scan of one component has only the blocks that hold pixels of it (A.2.2)
            wide, tall = -(-width * (sampling >> 4) // (8 * across)), -(-height * (sampling & 15) // (8 * down))
            self.components[number] = Component(sampling >> 4, sampling & 15, wide * tall)
            self.known[number] = [0] * self.components[number].alone

    def needed(self, head: bytes, coded: bytes) -> bytes:
        """The part of a scan's coded data that its blocks need; ``TornError`` if it is too short or out of step."""
        count = head[0]
        parts = [(head[1 + 2 * i], head[2 + 2 * i]) for i in range(count)]
        units = self.components[parts[0][0]].alone if count == 1 else self.mcus
        pieces, marks = RESTART.split(coded), RESTART.findall(coded)
        each = self.interval or units
        if len(pieces) != -(-units // each):
            raise TornError
        kept = []
        for number, piece in enumerate(pieces):
            bits, first = _Bits(piece), number * each
            again = self._walk(bits, parts, range(first, min(first + each, units)), head[1 + 2 * count :])
            kept.append(bits.needed() + (marks[number] if number < len(marks) else b""))
            if _goes_on(bits, again):
                raise TornError
        return b"".join(kept)

    def _walk(self, bits: _Bits, parts: Sequence[tuple[int, int]], units: range, spectrum: bytes) -> Sequence[Blocks]:
        """Parse the blocks of some units; of a sequential scan, returns the readers of one unit, to parse on."""
        first, last, bit = spectrum
        if self.frame == _PROGRESSIVE and first:
            (number, tables), *_ = parts
            scan = _Spectrum(bits, self.tables[16 + (tables & 15)], first, last, bool(bit >> 4))
            for unit in units:
                self.known[number][unit] = scan.block(self.known[number][unit])
            return ()
        blocks: list[Blocks] = []
        for number, tables in parts:
            blocks += [self._first_block(bits, tables, bit)] * self._in_mcu(number, parts)
        for _ in units:
            for block in blocks:
                block()
        return () if self.frame == _PROGRESSIVE else blocks

    def _in_mcu(self, number: int, parts: Sequence[object]) -> int:
        component = self.components[number]
        return component.across * component.down if len(parts) > 1 else 1

    def _first_block(self, bits: _Bits, tables: int, bit: int) -> Blocks:
        """Reads a block of a sequential scan, or its first coefficient in a progressive one."""
        if self.frame == _PROGRESSIVE and bit >> 4:
            return lambda: bits.skip(1)
        level = self.tables[tables >> 4]
        if self.frame == _PROGRESSIVE:
            return lambda: _level(bits, level)
        scan = _Spectrum(bits, self.tables[16 + (tables & 15)], 1, _LAST, False, runs=False)

        def block() -> None:
            _level(bits, level)
            scan.block(0)

        return block


@dataclass
class _Spectrum:
    """Coefficients ``first`` to ``last`` of one block after the other."""

    bits: _Bits
    table: Sequence[int]
    first: int
    last: int
    refining: bool
    runs: bool = True
    empty: int = 0
    """Blocks that follow without anything new."""

    def block(self, known: int) -> int:
        """Read a block of which the coefficients ``known`` (bits) are set; those that are set then."""
        at = self.first
        while at <= self.last and not self.empty:
            symbol = self.bits.symbol(self.table)
            zeros, size = symbol >> 4, symbol & 15
            if not size and zeros < 15:
                # EOBn: this block and the next 2^n - 1 + extra bits end here (G.1.2.2)
                self.empty = (1 << zeros) + self.bits.take(zeros) if self.runs else 1
                break
            at, known = self._next(at, zeros, size, known)
        if self.empty:
            self._refine(known >> at << at)  # only coefficients from ``at`` on
            self.empty -= 1
        return known

    def _next(self, at: int, zeros: int, size: int, known: int) -> tuple[int, int]:
        """Pass over some zeros and set the coefficient after them, or pass over sixteen."""
        self.bits.take(size)
        if not self.refining:
            at += zeros
        else:
            # refining: zeros are counted among unset coefficients only, and every set one on the way has a bit
            # (G.1.2.3)
            while at <= self.last and (known >> at & 1 or zeros):
                if known >> at & 1:
                    self.bits.take(1)
                else:
                    zeros -= 1
                at += 1
        if at > self.last:
            raise TornError
        return at + 1, known | bool(size) << at

    def _refine(self, known: int) -> None:
        """One more bit of each coefficient that is set, in the rest of a block."""
        if self.refining:
            for at in range(self.first, self.last + 1):
                self.bits.take(known >> at & 1)


def _goes_on(bits: _Bits, blocks: Sequence[Blocks]) -> bool:
    """Whether the bytes left over parse as blocks up to their end: then a piece before them is missing."""
    begun = bits.left
    try:
        while blocks and bits.left > 7:
            for block in blocks:
                block()
        bits.needed()
    except TornError:
        return False
    return 0 <= bits.left < 8 <= begun


def _level(bits: _Bits, table: Sequence[int]) -> None:
    size = bits.symbol(table)
    # of 8-bit pixels no DC difference is longer (F.1.2.1)
    if size > 11:
        raise TornError
    bits.take(size)


def _table(counts: bytes, symbols: bytes) -> list[int]:
    """For every 16 bits ahead, the length of the code that they begin with times 256, and its symbol; 0 for none."""
    table, code, at = np.zeros(1 << 16, np.int64), 0, 0
    for length, count in enumerate(counts, 1):
        for symbol in symbols[at : at + count]:
            # all 16-bit words that begin with this code
            table[code << (16 - length) : (code + 1) << (16 - length)] = length << 8 | symbol
            code += 1
        at, code = at + count, code << 1
    return table.tolist()
