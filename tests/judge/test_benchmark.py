from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from distill.data.pairs import write_pairs
from distill.errors import UserError
from distill.judge.benchmark import MOST_GROUPS, Benchmark, read_benchmark, read_sidecar

SAME = np.array([True, False, True])
HEADER = "left\tright\tage\tlight\n"
LINES = "anna\tanna\tyoung\tday\nanna\tbert\told\t\nbert\tbert\tyoung\tnight\n"


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture
def bin_file(tmp_path: Path) -> Path:
    """Three pairs: the images of the first and the second image of the last are blurred, the more the earlier."""
    noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3)).astype(np.uint8)
    blurs = [8, 8, 0, 0, 0, 3]
    pictures = [cv2.GaussianBlur(noise, (0, 0), blur) if blur else noise for blur in blurs]
    path = tmp_path / "set.bin"
    write_pairs(path, [cv2.imencode(".png", picture)[1].tobytes() for picture in pictures], SAME.tolist())
    return path


def test_persons_and_groups_of_a_sidecar(tmp_path: Path):
    for text in (
        HEADER + LINES,
        (HEADER + LINES).removesuffix("\n"),
        "\ufeff" + (HEADER + LINES).replace("\n", "\r\n"),
    ):
        persons, groups = read_sidecar(write(tmp_path / "set.tsv", text), SAME)
        np.testing.assert_array_equal(persons[:, 0] == persons[:, 1], SAME)
        assert persons[0, 0] == persons[1, 0] != persons[1, 1] == persons[2, 0]
        assert {name: values.tolist() for name, values in groups.items()} == {
            "age": ["young", "old", "young"],
            "light": ["day", "", "night"],
        }


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("", 1, "begins with []; expected columns left, right"),
        ("right\tleft\n", 1, "begins with ['right', 'left']; expected columns left, right"),
        ("left right age\n", 1, "begins with ['left right age']; expected columns left, right"),
        ("left\tright\tage\tage\n" + LINES, 1, "has a column 'age'; expected other names"),
        ("left\tright\tage\t\n" + LINES, 1, "has a column ''; expected other names"),
        ("left\tright\tage\tsharpness\n" + LINES, 1, "has a column 'sharpness'; expected other names"),
        (HEADER + LINES.replace("\told\t", "\told "), 3, "has 3 fields; expected 4: left, right, age, light"),
        (HEADER + LINES.replace("\nanna", "\n\nanna"), 3, "has 1 fields; expected 4"),
        (HEADER + LINES.replace("anna\tbert", "anna\t"), 3, "has the persons 'anna' and ''; expected a name for each"),
        (HEADER + LINES.replace("anna\tbert", "anna\tanna"), 3, "for a pair that its .bin calls impostor"),
        (HEADER + LINES.replace("bert\tbert", "bert\tanna"), 4, "for a pair that its .bin calls genuine"),
        (HEADER + LINES + "carl\tcarl\t\t\n", 5, "is one too many; expected a line for each of 3 pairs"),
        (HEADER + LINES[: LINES.index("bert\tbert")], 4, "is missing; expected a line for each of 3 pairs"),
        (HEADER, 2, "is missing; expected a line for each of 3 pairs"),
        ((HEADER + LINES).encode().replace(b"old", b"\xff"), 3, "is no UTF-8; expected text"),
        (HEADER + LINES.replace("old", "\x1b[2J"), 3, r"has '\x1b[2J'; expected printable text"),
    ],
)
def test_what_is_malformed_is_told_with_its_line(tmp_path: Path, text: str | bytes, line: int, told: str):
    path = write(tmp_path / "set.tsv", text)
    with pytest.raises(UserError) as error:
        read_sidecar(path, SAME)
    assert str(error.value).startswith(f"{path}, line {line}: ")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_column_that_names_files_is_no_group(tmp_path: Path):
    many = MOST_GROUPS + 1
    rows = "".join(f"p{k}\tp{k}\tfile{k}\n" for k in range(many))
    path = write(tmp_path / "set.tsv", "left\tright\tfile\n" + rows)
    with pytest.raises(UserError, match=rf"line 1: column file has {many} groups; expected at most {MOST_GROUPS}$"):
        read_sidecar(path, np.ones(many, bool))


def test_a_set_knows_its_quality_and_what_lies_beside_it(bin_file: Path):
    alone, pairs = read_benchmark(bin_file)
    assert (alone.name, alone.persons, len(pairs)) == ("set", None, 3)
    assert alone.columns["sharpness"].tolist() == ["low", "high", "middle"], "by the worse of both images"
    write(bin_file.with_suffix(".tsv"), HEADER + LINES)
    both, _ = read_benchmark(bin_file)
    assert both.persons is not None
    assert list(both.columns) == ["sharpness", "age", "light"]
    assert both.sha256 != alone.sha256
    write(bin_file.with_suffix(".tsv"), HEADER + LINES.replace("old", "young"))
    assert read_benchmark(bin_file)[0].sha256 != both.sha256


def test_slices_are_the_set_each_group_and_the_small_ones_together():
    values = np.array(["a"] * 5 + ["b"] * 2 + ["c"] + ["", ""])
    found = Benchmark("set", np.ones(10, bool), {"g": values}, None, "0").slices(3)
    assert {name: int(members.sum()) for name, members in found.items()} == {
        "all": 10,
        "g=a": 5,
        "g=b": 2,
        "g=c": 1,
        "g: 2 small groups": 3,
    }
    assert found["g: 2 small groups"].tolist() == [False] * 5 + [True] * 3 + [False] * 2
    assert "g: 2 small groups" not in Benchmark("set", np.ones(10, bool), {"g": values}, None, "0").slices(2)
