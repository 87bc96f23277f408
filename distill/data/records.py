"""The RecordIO container of MXNet, read through a memory map and without MXNet.

A record is ``magic, (cflag << 29) + length, payload, padding to 4 bytes``; cflag 0 is a whole record, 1, 2 and 3 are
the first, middle and last part of one that was split where the magic occurred at an aligned place of the payload, and
joining the parts puts the magic back. A payload begins with the struct ``IfQQ`` (flag, label, id, id2), then ``flag``
float32 labels, then the encoded image.
"""

from __future__ import annotations

import codecs
import itertools
import mmap
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from pathlib import Path

import numpy as np

from distill.data.faceset import DamagedImage
from distill.errors import UserError
from distill.types import CROP_PX

MAGIC = 0xCED7230A
MAGIC_BYTES = struct.pack("<I", MAGIC)
_LENGTH_MASK = (1 << 29) - 1
_FRAME_BYTES = 8
_HEAD_BYTES = 24
_CHUNK = 1 << 20
_BROKEN_PER_RECORD = 100


@dataclass(frozen=True)
class Heads:
    """Headers of n records, each [n]; where ``whole`` is false the other fields are undefined.

    ``flag`` uint32 is the number of labels in an array, 0 for a scalar; ``label`` float32 is the first or only one.
    """

    whole: np.ndarray
    flag: np.ndarray
    label: np.ndarray
    image_bytes: np.ndarray


def read_index(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The ``.idx`` text, ``key<TAB>offset`` a line, as two int64 arrays [n] in the order of the lines."""
    text = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    try:
        numbers = _whole_numbers(text)
    except ValueError as error:
        raise UserError(
            f"{path}: not a RecordIO index; expected 'key<TAB>offset' on every line: {_MADE_ANEW}"
        ) from error
    if len(numbers) % 2:
        raise UserError(
            f"{path}: {len(numbers)} numbers, expected 'key<TAB>offset' on every line: truncated? {_MADE_ANEW}"
        )
    keys, offsets = numbers.reshape(-1, 2).T.copy()
    ordered = np.sort(keys)
    # sorted neighbours: no set of millions of Python ints
    if (ordered[1:] == ordered[:-1]).any():
        key = ordered[1:][ordered[1:] == ordered[:-1]][0]
        raise UserError(f"{path}: lists key {key} twice; expected every key once: {_MADE_ANEW}")
    return keys, offsets


_MADE_ANEW = "copy it again, or delete it, and it is made from the records"


def _whole_numbers(text: bytes) -> np.ndarray:
    """The integers of a text as int64 [n]; a spreadsheet's 40.0 is one too. ``ValueError`` otherwise."""
    try:
        return np.fromstring(text, dtype=np.int64, sep=" ") if text.strip() else np.empty(0, np.int64)  # pyright: ignore
    except (ValueError, DeprecationWarning):
        return np.array([_whole(word) for word in text.split()], np.int64)


def _whole(word: bytes) -> int:
    try:
        number = Decimal(word.decode("ascii"))
    except DecimalException as error:
        raise ValueError(word) from error
    if not number.is_finite() or number.adjusted() > _MOST_DIGITS or number != number.to_integral_value():
        raise ValueError(word)
    return int(number)


_MOST_DIGITS = 18
"""After the first, of an int64."""


class RecordFile:
    """One ``.rec`` file. Can be sent to another process, which maps the file again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self._open()

    def _open(self) -> None:
        with self.path.open("rb") as file:
            self._map: mmap.mmap | bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self.size else b""

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "size": self.size}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._open()

    def _parts(self, offset: int) -> Iterator[tuple[int, int]]:
        """Begin and end of each part of the record at ``offset``, without frames; raises ``DamagedImage``."""
        for parts in itertools.count():
            if offset + _FRAME_BYTES > self.size:
                raise DamagedImage(f"the file ends before byte {offset}, where the record goes on")
            magic, lrec = struct.unpack_from("<II", self._map, offset)
            cflag, length = lrec >> 29, lrec & _LENGTH_MASK
            if magic != MAGIC or cflag not in ((2, 3) if parts else (0, 1)):
                raise DamagedImage(f"no {'further part' if parts else 'record'} begins at byte {offset}")
            begin = offset + _FRAME_BYTES
            if begin + length > self.size:
                raise DamagedImage(f"the file ends {begin + length - self.size} bytes before the record does")
            yield begin, begin + length
            if cflag in (0, 3):
                return
            offset = begin + length + -length % 4  # padded to 4 bytes

    def payload(self, offset: int) -> bytes:
        """The record at ``offset``, its parts joined; raises ``DamagedImage``."""
        return MAGIC_BYTES.join(self._map[begin:end] for begin, end in self._parts(offset))

    def image(self, offset: int) -> bytes:
        """The encoded image of the record at ``offset``; raises ``DamagedImage``."""
        payload = self.payload(offset)
        if len(payload) < _HEAD_BYTES:
            raise DamagedImage(f"the record has {len(payload)} bytes, fewer than its header")
        return payload[_HEAD_BYTES + 4 * struct.unpack_from("<I", payload)[0] :]

    def scan(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys and offsets int64 [n] of the records one after another, which an index would list.

        A record's key is its own id if all ids are different, as writers of this layout give; else its number.
        Raises ``UserError`` where the file is not a row of whole records.
        """
        ids: list[int] = []
        offsets: list[int] = []
        at = 0
        while at < self.size:
            try:
                parts = list(self._parts(at))
                head = self.payload(at) if len(parts) > 1 else self._map[parts[0][0] : parts[0][0] + _HEAD_BYTES]
            except DamagedImage as damage:
                raise UserError(
                    f"{self.path}: {damage}; expected complete records one after another: copy it again"
                ) from damage
            offsets.append(at)
            ids.append(struct.unpack_from("<Q", head.ljust(_HEAD_BYTES), 8)[0])
            at = parts[-1][1] + -parts[-1][1] % 4
        usable = len(set(ids)) == len(ids) and max(ids, default=0) < 1 << 63
        return np.array(ids if usable else range(len(ids)), np.int64), np.array(offsets, np.int64)

    def heads(self, keys: np.ndarray, offsets: np.ndarray) -> Heads:
        """Check every record's frame and read its first label, by arrays, a chunk of records at a time.

        One pass over the headers touches about one page of the file per record; nothing is kept but the result.
        Raises ``UserError`` where the file is truncated or the index belongs to another file.
        """
        self._check_offsets(keys, offsets)
        # the file as 32-bit words, still mapped: only the pages that are indexed are read
        words = np.frombuffer(self._map, "<u4", self.size // 4)
        found = [self._chunk(words, offsets[i : i + _CHUNK]) for i in range(0, len(offsets), _CHUNK)]
        fields = ("whole", "flag", "label", "image_bytes")
        heads = Heads(*(np.concatenate([getattr(h, field) for h in found]) for field in fields))
        self._check_whole(keys, offsets, heads.whole)
        return heads

    def _check_offsets(self, keys: np.ndarray, offsets: np.ndarray) -> None:
        beyond = np.flatnonzero(offsets > self.size - _FRAME_BYTES - _HEAD_BYTES)
        if len(beyond):
            raise UserError(
                f"{self.path}: ends at byte {self.size}, but its .idx has key {keys[beyond[0]]} at offset "
                f"{offsets[beyond[0]]}: the .rec is truncated, or the .idx is of another file; copy both again"
            )
        strange = np.flatnonzero((offsets < 0) | (offsets % 4 != 0))
        if len(strange):
            raise self._other_index(keys, offsets, strange)

    def _chunk(self, words: np.ndarray, offsets: np.ndarray) -> Heads:
        at = offsets // 4
        cflag, length = words[at + 1] >> 29, (words[at + 1] & _LENGTH_MASK).astype(np.int64)
        flag = words[at + 2]  # after magic and length
        # word 3 is the scalar label; words 4 to 7 are the ids, word 8 the first label of an array
        label = words[np.where(flag == 0, at + 3, np.minimum(at + 8, len(words) - 1))].view(np.float32)
        image_bytes = length - _HEAD_BYTES - 4 * flag.astype(np.int64)
        inside = offsets + _FRAME_BYTES + length <= self.size
        heads = Heads((words[at] == MAGIC) & (cflag == 0) & (image_bytes >= 0) & inside, flag, label, image_bytes)
        for row in np.flatnonzero((words[at] == MAGIC) & (cflag == 1)).tolist():
            self._read_split(heads, row, int(offsets[row]))
        return heads

    def _read_split(self, heads: Heads, row: int, offset: int) -> None:
        """Fill in the row of a record in parts, whose header may itself be split; about one in a million is."""
        try:
            payload = self.payload(offset)
        except DamagedImage:
            return
        labels = struct.unpack_from("<I", payload)[0] if len(payload) >= _HEAD_BYTES else 0
        heads.image_bytes[row] = len(payload) - _HEAD_BYTES - 4 * labels
        if heads.image_bytes[row] >= 0:
            heads.whole[row], heads.flag[row] = True, labels
            heads.label[row] = struct.unpack_from("<f", payload, _HEAD_BYTES if labels else 4)[0]

    def _check_whole(self, keys: np.ndarray, offsets: np.ndarray, whole: np.ndarray) -> None:
        """A few broken records are damage to skip; a broken last record or many are a wrong file."""
        broken = np.flatnonzero(~whole)
        last = int(np.argmax(offsets))
        if len(broken) > max(1, len(keys) // _BROKEN_PER_RECORD):
            raise self._other_index(keys, offsets, broken)
        if not whole[last]:
            raise UserError(
                f"{self.path}: ends at byte {self.size}, within its last record (key {keys[last]} at offset "
                f"{offsets[last]}): the .rec is truncated; copy it again"
            )

    def _other_index(self, keys: np.ndarray, offsets: np.ndarray, wrong: np.ndarray) -> UserError:
        return UserError(
            f"{self.path}: its .idx has key {keys[wrong[0]]} at offset {offsets[wrong[0]]}, where no complete record "
            f"begins, and {len(wrong)} of {len(keys)} are so: the .idx is of another file; copy the two that belong "
            "together"
        )


class RecordWriter:
    """Fills ``train.rec``, ``train.idx`` and ``property`` below ``root``; the images of a person come in a row."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._records = (root / "train.rec").open("wb")
        self._index: list[str] = []
        self._begins = [1]  # key of the first image of each class, and one more
        self._next_key = 1

    def person(self, images: Iterable[bytes]) -> None:
        """Append the encoded images of the next class."""
        for image in images:
            self._write(self._next_key, [len(self._begins) - 1, 1], image)
            self._next_key += 1
        self._begins.append(self._next_key)

    def close(self) -> None:
        """Write what depends on the number of images: identities, header, index and property."""
        classes, first_identity = len(self._begins) - 1, self._next_key
        for label, (begin, end) in enumerate(zip(self._begins[:-1], self._begins[1:], strict=True)):
            self._write(first_identity + label, [begin, end], b"")
        self._write(0, [first_identity, first_identity + classes], b"")
        self._records.close()
        (self._root / "train.idx").write_text("".join(self._index))
        (self._root / "property").write_text(f"{classes},{CROP_PX},{CROP_PX}")

    def _write(self, key: int, labels: list[int], image: bytes) -> None:
        self._index.append(f"{key}\t{self._records.tell()}\n")
        head = struct.pack("<IfQQ", len(labels), 0.0, key, 0) + struct.pack(f"<{len(labels)}f", *labels)
        self._records.write(framed(head + image))


def framed(payload: bytes) -> bytes:
    """A payload as one record, split wherever an aligned word of it is the magic; the split removes the magic."""
    parts, begin = [], 0
    at = payload.find(MAGIC_BYTES)
    while at >= 0:
        if at % 4 == 0:
            # only at multiples of 4, where a reader would look for a frame
            parts.append(payload[begin:at])
            begin = at + 4
        at = payload.find(MAGIC_BYTES, at + 4 if at % 4 == 0 else at + 1)
    parts.append(payload[begin:])
    flags = [0] if len(parts) == 1 else [1, *[2] * (len(parts) - 2), 3]
    return b"".join(
        struct.pack("<II", MAGIC, (flag << 29) + len(part)) + part + bytes(-len(part) % 4)
        for flag, part in zip(flags, parts, strict=True)
    )
