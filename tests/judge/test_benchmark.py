from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from distill.data.pairs import write_pairs
from distill.errors import UserError
from distill.judge.benchmark import BATCH, MOST_GROUPS, Benchmark, read_benchmark, read_sidecar, sharpness, thirds

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


# sharpness


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 3, 9, 7)).astype(np.uint8)


def slow(image: np.ndarray) -> float:
    """One picture [3 h w], pixel by pixel."""
    luma = [
        [0.299 * float(r) + 0.587 * float(g) + 0.114 * float(b) for r, g, b in zip(*rows, strict=True)]
        for rows in zip(*image, strict=True)
    ]
    found = []
    for y in range(1, len(luma) - 1):
        for x in range(1, len(luma[0]) - 1):
            around = luma[y - 1][x] + luma[y + 1][x] + luma[y][x - 1] + luma[y][x + 1]
            found.append(around - 4 * luma[y][x])
    mean = sum(found) / len(found)
    return sum((value - mean) ** 2 for value in found) / len(found)


def test_against_a_loop_over_pixels():
    images = pictures(3)
    assert sharpness(images) == pytest.approx([slow(image) for image in images], rel=1e-12)


def test_batches_are_only_batches():
    images = pictures(BATCH + 1)
    np.testing.assert_array_equal(sharpness(images)[-1:], sharpness(images[-1:]))


def test_blur_lowers_it_and_a_constant_brightness_does_not_count():
    sharp = np.kron(np.random.default_rng(1).integers(40, 200, (7, 7)), np.ones((16, 16))).astype(np.uint8)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 2)
    images = np.stack([np.stack([plane] * 3) for plane in (sharp, blurred, sharp + 20)]).astype(np.uint8)
    found = sharpness(images)
    assert found[1] < found[0] / 4
    assert found[2] == pytest.approx(found[0], rel=1e-9)


def test_thirds_have_equal_numbers_and_keep_what_is_equal_together():
    values = np.random.default_rng(2).permutation(30).astype(float)
    found = thirds(values)
    np.testing.assert_array_equal(found, values.astype(int) // 10)
    assert set(thirds(np.ones(9)).tolist()) == {0}
