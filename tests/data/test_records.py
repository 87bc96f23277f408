from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from distill.data.faceset import DamagedImage
from distill.data.recordio import RecordIOSet
from distill.data.records import RecordFile, RecordWriter, framed, read_index
from distill.errors import UserError
from reference.recordio import MAGIC, payload, record


def written(tmp_path: Path, payloads: list[bytes]) -> tuple[RecordFile, np.ndarray, np.ndarray]:
    framed = [record(p) for p in payloads]
    (tmp_path / "train.rec").write_bytes(b"".join(framed))
    offsets = np.cumsum([0, *[len(f) for f in framed[:-1]]])
    return RecordFile(tmp_path / "train.rec"), np.arange(len(framed)), offsets


def test_any_payload_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = []
    for size in range(60):
        words = [MAGIC if rng.random() < 0.3 else rng.bytes(4) for _ in range(size)]
        images.append(b"".join(words)[: max(0, 4 * size - int(rng.integers(4)))])
    labels = [float(n) if n % 2 else [float(n), 1.0] for n in range(60)]
    ids = [0xCED7230A if n % 3 == 0 else n for n in range(60)]
    file, keys, offsets = written(tmp_path, [payload(*both) for both in zip(images, labels, ids, strict=True)])
    heads = file.heads(keys, offsets)
    assert heads.whole.all()
    assert heads.label.tolist() == list(range(60))
    assert heads.flag.tolist() == [0 if n % 2 else 2 for n in range(60)]
    assert heads.image_bytes.tolist() == [len(image) for image in images]
    assert [file.image(int(o)) for o in offsets] == images


@pytest.mark.parametrize("lengths", [(1, 2, 3, 4), (5, 7), (6, 4, 3), (4, 8, 1)])
def test_every_part_of_a_record_is_padded_to_whole_words(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    """Of another program, which cuts wherever the magic is: the next part, and the next record, begin at a word."""
    head = payload(b"", 3.0)
    parts = [head + b"\x11" * lengths[0], *(bytes([k]) * length for k, length in enumerate(lengths[1:], 2))]
    flags = [1, *[2] * (len(parts) - 2), 3]
    content = b""
    for flag, part in zip(flags, parts, strict=True):
        content += MAGIC + struct.pack("<I", (flag << 29) + len(part)) + part
        while len(content) % 4:
            content += b"\xff"
    after = len(content)
    (tmp_path / "train.rec").write_bytes(content + record(payload(b"next", 5.0)))
    file = RecordFile(tmp_path / "train.rec")
    assert file.payload(0) == MAGIC.join(parts)
    assert file.image(0) == MAGIC.join(parts)[24:]
    assert file.image(after) == b"next"
    heads = file.heads(np.arange(2), np.array([0, after]))
    assert (heads.whole.tolist(), heads.label.tolist()) == ([True, True], [3.0, 5.0])


def test_a_record_whose_length_reaches_beyond_the_file_is_not_whole(tmp_path: Path) -> None:
    file, keys, offsets = written(tmp_path, [payload(bytes(32), float(k)) for k in range(3)])
    content = bytearray(file.path.read_bytes())
    content[offsets[1] + 4 : offsets[1] + 8] = struct.pack("<I", 1 << 20)
    file.path.write_bytes(content)
    assert RecordFile(file.path).heads(keys, offsets).whole.tolist() == [True, False, True]


def test_a_record_may_end_with_the_file_and_its_padding_be_missing(tmp_path: Path) -> None:
    for length in range(4):
        whole = payload(b"x" * length, 1.0)
        framed = MAGIC + struct.pack("<I", len(whole)) + whole
        (tmp_path / "train.rec").write_bytes(framed)
        assert RecordFile(tmp_path / "train.rec").image(0) == b"x" * length


def test_a_file_goes_to_another_process_without_its_content(tmp_path: Path) -> None:
    file, _, _ = written(tmp_path, [payload(bytes(100_000), 1.0)])
    packed = pickle.dumps(file)
    assert len(packed) < 1000
    assert pickle.loads(packed).image(0) == bytes(100_000)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (lambda b: b"\0" + b[1:], "no record begins"),
        (lambda b: b[:40], "ends 24 bytes before"),
        (lambda b: b[:4] + struct.pack("<I", (1 << 29) + 56) + b[8:], "the file ends before byte 64"),
        (lambda b: b[:4] + struct.pack("<I", (3 << 29) + 56) + b[8:], "no record begins"),
        (lambda b: b[:4] + struct.pack("<I", 20) + b[8:], "20 bytes, fewer than its header"),
    ],
)
def test_a_broken_record_is_damage(tmp_path: Path, broken, reason: str) -> None:
    path = tmp_path / "train.rec"
    path.write_bytes(broken(record(payload(bytes(32), 1.0))))
    with pytest.raises(DamagedImage, match=reason):
        RecordFile(path).image(0)


def test_index_in_any_order_and_with_spaces(tmp_path: Path) -> None:
    (tmp_path / "i").write_text("7\t40\n0\t9007199254740993\n3 8\n")
    keys, offsets = read_index(tmp_path / "i")
    assert keys.tolist() == [7, 0, 3]
    assert offsets.tolist() == [40, 2**53 + 1, 8]


@pytest.mark.parametrize(
    "text",
    [
        b"0\t0\r\n7\t9007199254740993\r\n",
        b"0\t0\n\n7\t9007199254740993\n\n\n",
        b"\xef\xbb\xbf0\t0\n7\t9007199254740993",
        b"0.0\t0.0\n7.0\t9007199254740993.0\n",
        b"0\t0\n7e0\t9.007199254740993e15\n",
    ],
)
def test_index_as_editors_and_spreadsheets_write_it(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "i").write_bytes(text)
    keys, offsets = read_index(tmp_path / "i")
    assert keys.tolist() == [0, 7]
    assert offsets.tolist() == [0, 2**53 + 1]
    assert keys.dtype == offsets.dtype == np.int64


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0\t0\n1\tx\n", "not a RecordIO index"),
        ("0\t0\n1\t4.5\n", "not a RecordIO index"),
        ("0\t0\n1\t1/0\n", "not a RecordIO index"),
        ("0\t0\n1\t1e999999999\n", "not a RecordIO index"),
        ("0\t0\n1\tnan\n", "not a RecordIO index"),
        ("\x80\x02binary", "not a RecordIO index"),
        ("0\t0\n1", "truncated"),
        ("0\t0\n1\t40\n0\t80\n", "lists key 0 twice"),
    ],
)
def test_a_bad_index_is_named_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "train.idx").write_text(text)
    with pytest.raises(UserError, match=reason) as caught:
        read_index(tmp_path / "train.idx")
    assert str(tmp_path / "train.idx") in str(caught.value)
    assert "\n" not in str(caught.value)


# the writer


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
