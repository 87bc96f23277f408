from __future__ import annotations

import json
from pathlib import Path

import pytest

from distill.data.record_writer import RecordWriter, framed
from distill.data.recordio import RecordIOSet
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


def test_people_may_have_different_numbers_of_images(tmp_path: Path, jpeg) -> None:
    writer = RecordWriter(tmp_path)
    writer.person([jpeg(0)])
    writer.person([jpeg(1), jpeg(2), jpeg(3)])
    writer.close()
    faces = RecordIOSet(tmp_path)
    assert faces.labels.tolist() == [0, 1, 1, 1]
    assert [faces.read(i) for i in range(4)] == [jpeg(i) for i in range(4)]
