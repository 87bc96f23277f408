"""The challenge's feature binary against bytes written by hand, and every way in which one can be broken."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from distill.errors import UserError
from distill.features.feature_file import CV_32F, file_bytes, header, open_features, verify_features

ROWS = [[1.0, 0.0], [0.6, 0.8], [0.0, -1.0]]


def packed(rows: list[list[float]], order: str = "=") -> bytes:
    cols = len(rows[0])
    head = struct.pack(f"{order}4i", len(rows), cols, 4 * cols, 5)
    return head + b"".join(struct.pack(f"{order}f", value) for row in rows for value in row)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.bin"
    file.write_bytes(packed(ROWS))
    return file


def refusal(path: Path, rows: int | None = None) -> str:
    with pytest.raises(UserError) as caught:
        verify_features(path, rows)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


def test_hand_written_bytes_are_read_back_without_a_copy(path: Path):
    features = open_features(path, 3)
    assert isinstance(features, np.memmap)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, np.array(ROWS, np.float32))
    with pytest.raises(ValueError, match="read-only"):
        features[0, 0] = 2
    told: list[int] = []
    verify_features(path, 3, told.append)
    assert sum(told) == 3


def test_the_header_of_the_challenge_s_sets():
    assert header(1_862_120, 512) == struct.pack("=iiii", 1_862_120, 512, 2048, 5)
    assert file_bytes(1_862_120, 512) == 3_813_621_776
    assert file_bytes(203_848, 512) == 417_480_720
    assert file_bytes(1_862_120, 256) == 1_906_810_896


@pytest.mark.parametrize(("rows", "cols"), [(2**31, 512), (1, 2**29), (0, 512), (5, 0), (-1, 2)])
def test_what_int32_cannot_say_is_refused(rows: int, cols: int):
    with pytest.raises(UserError, match=r"header has int32 numbers, so expected 1 to 2,147,483,647 rows"):
        header(rows, cols)
    assert len(header(2**31 - 1, 2**29 - 1)) == 16


def test_truncated_and_too_long(path: Path):
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    assert refusal(path).startswith("is truncated: it holds 2 complete rows of 3 (37 of 40 bytes)")
    path.write_bytes(whole + b"xy")
    assert refusal(path).startswith("has 2 bytes after the last of its 3 rows")
    path.write_bytes(whole[:9])
    assert refusal(path).startswith("has 9 bytes; expected a header of 16")


@pytest.mark.parametrize("numbers", [(3, 2, 8, CV_32F + 1), (3, 2, 9, 5), (0, 2, 8, 5), (-3, 2, 8, 5), (3, -2, -8, 5)])
def test_wrong_header(path: Path, numbers: tuple[int, int, int, int]):
    path.write_bytes(struct.pack("=4i", *numbers) + path.read_bytes()[16:])
    said = ", ".join(map(str, numbers))
    assert refusal(path) == f"begins with the numbers {said}; expected rows, columns, 4 times the columns, and 5"


def test_other_byte_order_is_named(path: Path):
    path.write_bytes(packed(ROWS, ">" if np.little_endian else "<"))
    assert refusal(path).endswith("written on a machine of the other byte order")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([0.6, float("nan")], "has nan in column 1; expected finite numbers"),
        ([float("inf"), 0.0], "has inf in column 0; expected finite numbers"),
        ([0.0, 0.0], "has length 0; expected a unit vector"),
        ([0.6, 0.9], "has length 1.08167; expected a unit vector"),
    ],
)
def test_the_row_that_is_wrong_is_named(path: Path, row: list[float], expected: str):
    path.write_bytes(packed([*ROWS, row]))
    assert refusal(path) == f"row 3 of 4 {expected}"


def test_rows_in_a_later_piece_keep_their_number(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("distill.features.feature_file._CHUNK_BYTES", 8)
    told: list[int] = []
    verify_features(path, progress=told.append)
    assert told == [1, 1, 1]
    path.write_bytes(packed([*ROWS, [3.0, 0.0], [0.0, 1.0]]))
    assert refusal(path).startswith("row 3 of 5 has length 3")


def test_other_number_of_rows_than_the_list(path: Path):
    assert refusal(path, 4) == "has 3 rows; expected 4, one for each line of the list"


def test_no_file(tmp_path: Path):
    assert refusal(tmp_path / "none.bin") == "no such file; expected a feature file"
