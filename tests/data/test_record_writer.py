from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from distill.data.recordio import RecordIOSet
from distill.data.records import RecordWriter, framed
from reference.recordio import MAGIC, record

FIXTURES = Path(__file__).parents[1] / "fixtures"


def test_writes_what_mxnet_wrote(tmp_path: Path) -> None:
    """The fixture's header layout: three people, two images each."""
    theirs = RecordIOSet(FIXTURES / "header")
    writer = RecordWriter(tmp_path)
    for person in range(3):
        writer.person(theirs.read(i) for i in range(len(theirs)) if theirs.labels[i] == person)
    writer.close()
    assert len(json.loads((FIXTURES / "header/images.json").read_text())) == 6
    for name in ("train.rec", "train.idx", "property"):
        assert (tmp_path / name).read_bytes() == (FIXTURES / "header" / name).read_bytes()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"abc",
        MAGIC,
        MAGIC + MAGIC,
        b"abcd" + MAGIC + b"efgh" + MAGIC,
        b"ab" + MAGIC + b"cd",
        b"\x0a\x23" + MAGIC + MAGIC[:2],
        b"a" + MAGIC + b"bcd" + MAGIC,
    ],
)
def test_frames_as_the_word_by_word_reference_does(payload: bytes) -> None:
    assert framed(payload) == record(payload)


def walked(content: bytes) -> list[tuple[int, bytes]]:
    """Offset and payload of every record, found without an index, as a program reads that knows the format alone."""
    found, at, parts, begin = [], 0, [], 0
    while at < len(content):
        magic, word = struct.unpack_from("<II", content, at)
        assert struct.pack("<I", magic) == MAGIC, f"no record at byte {at}"
        flag, length = word >> 29, word & ((1 << 29) - 1)
        begin = begin if parts else at
        parts.append(content[at + 8 : at + 8 + length])
        at += 8 + (length + 3) // 4 * 4
        if flag in (0, 3):
            found.append((begin, MAGIC.join(parts)))
            parts = []
    assert at == len(content), "the last record is padded too"
    return found


def test_records_follow_each_other_at_whole_words_whatever_the_length_of_an_image(tmp_path: Path) -> None:
    images = [bytes([k + 1]) * (20 + k) for k in range(8)] + [b"ab" + MAGIC + b"c", b"abcd" + MAGIC + b"c"]
    writer = RecordWriter(tmp_path)
    writer.person(images[:3])
    writer.person(images[3:])
    writer.close()
    index = [line.split("\t") for line in (tmp_path / "train.idx").read_text().splitlines()]
    records = walked((tmp_path / "train.rec").read_bytes())
    assert [offset for offset, _ in records] == [int(offset) for _, offset in index]
    heads = [struct.unpack_from("<IfQQ2f", content) for _, content in records]
    assert [content[32:] for _, content in records] == [*images, b"", b"", b""]
    assert [head[0] for head in heads] == [2] * 13
    assert [int(key) for key, _ in index] == [head[2] for head in heads] == [*range(1, 11), 11, 12, 0]
    assert [head[4:] for head in heads[:10]] == [(0.0, 1.0)] * 3 + [(1.0, 1.0)] * 7
    assert [head[4:] for head in heads[10:]] == [(1.0, 4.0), (4.0, 11.0), (11.0, 13.0)]


def test_people_may_have_different_numbers_of_images(tmp_path: Path, jpeg) -> None:
    writer = RecordWriter(tmp_path)
    writer.person([jpeg(0)])
    writer.person([jpeg(1), jpeg(2), jpeg(3)])
    writer.close()
    faces = RecordIOSet(tmp_path)
    assert faces.labels.tolist() == [0, 1, 1, 1]
    assert [faces.read(i) for i in range(4)] == [jpeg(i) for i in range(4)]
