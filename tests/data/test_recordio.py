from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from distill.data.decode import decode
from distill.data.faceset import DamagedImage
from distill.data.recordio import RecordIOSet
from distill.errors import UserError
from distill.types import UNLABELLED
from reference.recordio import payload, write_set

FIXTURES = Path(__file__).parents[1] / "fixtures"
Copy = Callable[[str], Path]


@pytest.mark.parametrize("name", ["header", "headerless", "headerless_arrays", "split"])
def test_reads_what_mxnet_wrote(name: str) -> None:
    faces = RecordIOSet(FIXTURES / name)
    expected = json.loads((FIXTURES / name / "images.json").read_text())
    assert [hashlib.sha256(faces.read(i)).hexdigest() for i in range(len(faces))] == [e["sha256"] for e in expected]
    assert faces.labels.tolist() == [e["label"] for e in expected]
    assert faces.labels.dtype == np.int64
    assert all(f"key {e['key']} at offset" in faces.name(i) for i, e in enumerate(expected))
    assert all(decode(faces.read(i)).shape == (112, 112, 3) for i in range(len(faces)))


def test_the_split_fixture_is_split() -> None:
    content = (FIXTURES / "split" / "train.rec").read_bytes()
    assert [struct.unpack_from("<I", content, o + 4)[0] >> 29 for o in _magics(content)] == [1, 2, 3, 1, 3, 0]


def _magics(content: bytes) -> list[int]:
    return [o for o in range(0, len(content), 4) if content[o : o + 4] == bytes.fromhex("0a23d7ce")]


def test_follows_the_order_of_the_index(written_by_mxnet: Copy) -> None:
    root = written_by_mxnet("header")
    before = RecordIOSet(root)
    lines = (root / "train.idx").read_text().splitlines()
    (root / "train.idx").write_text("\n".join(reversed(lines)))
    after = RecordIOSet(root)
    assert after.labels.tolist() == before.labels.tolist()[::-1]
    assert after.read(0) == before.read(5)
    assert after.fingerprint() != before.fingerprint()


def test_fingerprint_is_of_the_content_and_not_of_the_place(written_by_mxnet: Copy, tmp_path: Path) -> None:
    root = written_by_mxnet("header")
    moved = shutil.copytree(root, tmp_path / "elsewhere")
    assert RecordIOSet(root).fingerprint() == RecordIOSet(moved).fingerprint()
    content = bytearray((moved / "train.rec").read_bytes())
    content[1000] ^= 1
    (moved / "train.rec").write_bytes(content)
    assert RecordIOSet(root).fingerprint() != RecordIOSet(moved).fingerprint()


def test_travels_to_a_worker(many: Path) -> None:
    faces = RecordIOSet(many)
    other = pickle.loads(pickle.dumps(faces))
    assert other.read(7) == faces.read(7)


def test_one_broken_record_among_many_is_left_to_be_skipped(many: Path) -> None:
    whole = RecordIOSet(many)
    offset = int((many / "train.idx").read_text().splitlines()[150].split()[1])
    content = bytearray((many / "train.rec").read_bytes())
    content[offset] ^= 255
    (many / "train.rec").write_bytes(content)
    faces = RecordIOSet(many)
    assert len(faces) == 300
    assert faces.labels[150] == UNLABELLED
    assert faces.labels[151] == whole.labels[151]
    with pytest.raises(DamagedImage, match="no record begins"):
        faces.read(150)
    assert faces.name(150).endswith(f"key 150 at offset {offset}")


def test_ten_broken_records_of_three_hundred_are_a_wrong_file(many: Path) -> None:
    content = bytearray((many / "train.rec").read_bytes())
    for line in (many / "train.idx").read_text().splitlines()[100:110]:
        content[int(line.split()[1])] ^= 255
    (many / "train.rec").write_bytes(content)
    with pytest.raises(UserError, match=r"key 100 at offset \d+, where no complete record.* 10 of 300 .* another file"):
        RecordIOSet(many)


def _remove(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).unlink()


def _rename(name: str, other: str) -> Callable[[Path], object]:
    return lambda root: (root / name).rename(root / other)


def _write(name: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(text)


def _cut(share: float) -> Callable[[Path], object]:
    def cut(root: Path) -> None:
        os.truncate(root / "train.rec", int((root / "train.rec").stat().st_size * share))

    return cut


def _empty(root: Path) -> None:
    for path in root.iterdir():
        path.unlink()


def _index_of(other: str) -> Callable[[Path], object]:
    return lambda root: shutil.copy(FIXTURES / other / "train.idx", root / "train.idx")


def _short_index(root: Path) -> None:
    lines = (root / "train.idx").read_text().splitlines()
    (root / "train.idx").write_text("\n".join(lines[1:]))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (shutil.rmtree, "no such folder"),
        (_empty, "has no file train.rec"),
        (_remove("train.rec"), "has no file train.rec"),
        (
            _rename("train.rec", "webface.rec"),
            "has no file train.rec.*; rename webface.rec to train.rec, and webface.idx",
        ),
        (_write("train.rec", ""), "train.rec: is empty"),
        (_write("train.idx", ""), "train.idx: lists no records"),
        (_write("train.idx", "\n"), "lists no records"),
        (_cut(0.5), r"ends at byte \d+, but its .idx has key \d+ at offset .* truncated"),
        (_cut(0.001), r"ends at byte 14, but its .idx .* truncated"),
        (
            _index_of("headerless"),
            r"train.rec: its .idx has key \d at offset \d+, where no complete record .* another file",
        ),
        (_index_of("split"), r"another file|truncated"),
        (_write("train.idx", "0\t0\n1\t17\n"), "key 1 at offset 17, where no complete record .* another file"),
        (_write("train.idx", "0\t0\n1\t-8\n"), "key 1 at offset -8, where no complete record .* another file"),
        (_write("train.idx", f"0\t0\n1\t{2**63 - 4}\n"), f"key 1 at offset {2**63 - 4}: the .rec is truncated"),
        (_short_index, "lists 5 images, but the header .key 0. announces 6"),
        (_write("property", "2,112,112"), r"says 2 classes, but .*key 5 at offset \d+ has label 2; expected .* 0 to 1"),
        (_write("property", "3,128,128"), "says images of 128x128; expected aligned 112x112"),
        (_write("property", "3,112"), "says '3,112'; expected 'classes,height,width'"),
        (_write("property", "three,112,112"), "expected 'classes,height,width'"),
        (_write("property", "6 112 112"), "says '6 112 112'; expected 'classes,height,width', .* or delete it"),
        (_write("property", ""), "expected 'classes,height,width', .* or delete it"),
        (_write("property", " "), "expected 'classes,height,width'"),
        (_write("property", "0,112,112"), "says 0 classes"),
        (_write("property", "99999999,112,112"), "says 99999999 classes; expected 1 to 16777216"),
        (_write("property", "3,112,112\n7"), "says 7 images, but .* lists 6"),
    ],
)
def test_every_bad_folder_is_refused_in_one_line(written_by_mxnet: Copy, spoil, reason: str) -> None:
    root = written_by_mxnet("header")
    spoil(root)
    with pytest.raises(UserError, match=reason) as caught:
        RecordIOSet(root)
    assert str(root) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut_bytes", [4, 400, 2000])
def test_a_file_that_ends_within_its_last_record_is_truncated(many: Path, cut_bytes: int) -> None:
    os.truncate(many / "train.rec", (many / "train.rec").stat().st_size - cut_bytes)
    with pytest.raises(UserError, match=r"within its last record \(key 299 at offset \d+\): the .rec is truncated"):
        RecordIOSet(many)


@pytest.mark.parametrize("label", [float("nan"), -1.0, 0.5, 2.0, float("inf")])
def test_a_label_that_is_no_class_is_refused(tmp_path: Path, jpeg, label: float) -> None:
    root = write_set(tmp_path / "s", {0: payload(jpeg(0), 1.0), 1: payload(jpeg(1), label)}, classes=2)
    with pytest.raises(UserError, match="key 1 at offset"):
        RecordIOSet(root)


def test_images_of_another_size_are_refused(tmp_path: Path, jpeg) -> None:
    root = write_set(tmp_path / "s", {key: payload(jpeg(key, 128), 0.0) for key in range(3)}, classes=1)
    with pytest.raises(UserError, match=r"key 0 at offset 0: is 128x128; expected an aligned 112x112 crop"):
        RecordIOSet(root)


@pytest.mark.parametrize(
    "content",
    [
        b"3,112,112",
        b"3, 112, 112\n",
        b" 3 ,112\t,112 \r\n",
        b"\n3,112,112\n\n",
        b"\xef\xbb\xbf3,112,112\r\n",
        "3,112,112\r\n".encode("utf-16"),
        "\ufeff3,112,112".encode("utf-16-be"),
        b"3,112,112\nof 2019, from M\xfcller\n",
    ],
)
def test_property_as_people_and_their_editors_write_it(written_by_mxnet: Copy, content: bytes) -> None:
    root = written_by_mxnet("header")
    (root / "property").write_bytes(content)
    assert RecordIOSet(root).classes == 3


@pytest.mark.parametrize("name", ["header", "headerless", "headerless_arrays", "split"])
@pytest.mark.parametrize("missing", [["property"], ["train.idx"], ["property", "train.idx"]])
def test_what_is_missing_is_found_in_the_records_with_a_note(
    written_by_mxnet: Copy, caplog: pytest.LogCaptureFixture, name: str, missing: list[str]
) -> None:
    root = written_by_mxnet(name)
    whole = RecordIOSet(root)
    assert not caplog.records
    for one in missing:
        (root / one).unlink()
    caplog.set_level("INFO")
    faces = RecordIOSet(root)
    assert (faces.classes, faces.labels.tolist()) == (whole.classes, whole.labels.tolist())
    assert [faces.read(i) for i in range(len(faces))] == [whole.read(i) for i in range(len(whole))]
    assert [line.split(";")[0].split("has no ")[1] for line in caplog.messages] == sorted(missing, reverse=True)


def test_a_made_index_has_the_keys_of_the_records(written_by_mxnet: Copy) -> None:
    root = written_by_mxnet("header")
    whole = RecordIOSet(root)
    (root / "train.idx").unlink()
    assert RecordIOSet(root).keys.tolist() == whole.keys.tolist()
    assert RecordIOSet(root).fingerprint() == whole.fingerprint()


def test_records_that_share_an_id_are_numbered(tmp_path: Path, jpeg) -> None:
    root = write_set(tmp_path / "s", {key: payload(jpeg(key), float(key)) for key in range(3)}, classes=3)
    (root / "train.idx").unlink()
    assert RecordIOSet(root).keys.tolist() == [0, 1, 2]


def test_without_an_index_a_torn_file_is_named(many: Path) -> None:
    (many / "train.idx").unlink()
    os.truncate(many / "train.rec", (many / "train.rec").stat().st_size - 400)
    with pytest.raises(UserError, match=r"train.rec: the file ends .* before the record does; .* copy it again"):
        RecordIOSet(many)


def test_a_label_that_is_no_class_is_refused_where_classes_are_counted_too(tmp_path: Path, jpeg) -> None:
    root = write_set(tmp_path / "s", {0: payload(jpeg(0), 1.0), 1: payload(jpeg(1), float("nan"))}, classes=2)
    (root / "property").unlink()
    with pytest.raises(UserError, match=r"train.rec key 1 at .* has label nan; expected .* 0 to 1$"):
        RecordIOSet(root)


def test_a_list_file_of_im2rec_beside_the_records_changes_nothing(written_by_mxnet: Copy) -> None:
    root = written_by_mxnet("headerless_arrays")
    (root / "train.lst").write_text("0\t7.000000\ta.jpg\n")
    (root / "property").unlink()
    assert (
        RecordIOSet(root).classes
        == json.loads((FIXTURES / "headerless_arrays/images.json").read_text())[-1]["label"] + 1
    )


@pytest.mark.parametrize("label", [float("nan"), float("inf"), float("-inf"), 0.0, -7.0, 2.0**24 + 2])
def test_a_header_that_says_nothing_is_passed_over(
    tmp_path: Path, jpeg, caplog: pytest.LogCaptureFixture, label: float
) -> None:
    records = {key: payload(jpeg(key), [float(key - 1), 1.0]) for key in (1, 2)}
    identities = {key: payload(b"", [float(key - 2), float(key - 1)]) for key in (3, 4)}
    caplog.set_level("INFO")
    root = write_set(tmp_path / "s", {**records, **identities, 0: payload(b"", [label, 5.0])}, classes=2)
    assert RecordIOSet(root).labels.tolist() == [0, 1]
    assert "images are the records that hold one" in caplog.text


def test_a_second_line_of_property_that_agrees(written_by_mxnet: Copy) -> None:
    root = written_by_mxnet("header")
    (root / "property").write_text("3,112,112\n6\n")
    assert len(RecordIOSet(root)) == 6


def test_the_real_sets(faces_root: Path) -> None:
    labelled, singles = RecordIOSet(faces_root / "labelled"), RecordIOSet(faces_root / "singles")
    assert (len(labelled), labelled.classes, len(singles), singles.classes) == (12292, 3791, 5552, 5552)
    assert np.bincount(labelled.labels).min() == 2
    assert (np.bincount(singles.labels) == 1).all()
    assert all(decode(labelled.read(i)).std() > 5 for i in range(0, 12292, 1000))
