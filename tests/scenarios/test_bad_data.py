"""Data that cannot be used, through the command line: one line, status 2, and no run folder for it."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.cli import main
from distill.data.pairs import write_pairs
from reference.recordio import payload, write_set

Options = Callable[..., list[str]]
Refused = Callable[..., str]


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """The data root again, to be spoiled."""
    return Path(shutil.copytree(root, tmp_path / "copy"))


@pytest.fixture
def told(options: Options, refused: Refused, copy: Path, tmp_path: Path) -> Callable[..., str]:
    """The line about the spoiled copy; nothing may be left of such a run."""

    def run(*more: str) -> str:
        line = refused("distill", *options(f"data.root={copy}", *more))
        assert not (tmp_path / "runs").exists()
        return line

    return run


def test_without_data_and_weights_a_new_user_reads_how_to_get_both(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    line = refused("distill", "teacher=r152", "student=vargnet", "data=recordio")
    assert line.startswith("data.root is missing: the folder with the faces, e.g. data.root=/data/faces")
    assert "nor has teacher r152 weights at weights/r152/weights.safetensors" in line
    assert "make teacher teacher=r152 data.root=DIR" in line
    assert "teacher.weights=FILE" in line


@pytest.mark.parametrize("data", ["recordio", "folder"])
def test_missing_root(data: str, options: Options, refused: Refused, tmp_path: Path):
    place = tmp_path / "nowhere"
    assert f"{place}: no such folder" in refused("distill", *options(f"data={data}", f"data.root={place}"))


def test_empty_root(options: Options, refused: Refused, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    empty = f"data.root={tmp_path / 'empty'}"
    assert "empty: has no file train.rec; expected train.rec, train.idx, property" in refused(
        "distill", *options(empty)
    )
    assert "holds no images; expected PERSON/*.jpg" in refused("distill", *options("data=folder", empty))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_root_that_may_not_be_read(options: Options, refused: Refused):
    os.seteuid(65534)  # pytest's folders are closed to nobody
    try:
        line = refused("distill", *options())
    finally:
        os.seteuid(0)
    assert "Permission denied" in line


@pytest.mark.parametrize("keep", [-50, 5000])
def test_truncated_rec(keep: int, told: Refused, copy: Path):
    file = copy / "train.rec"
    file.write_bytes(file.read_bytes()[:keep])
    line = told()
    assert line.startswith(f"{file}: ends at byte {file.stat().st_size}")
    assert "truncated" in line
    assert "offset" in line


def test_idx_of_another_file(told: Refused, copy: Path):
    (copy / "train.idx").write_text("".join(f"{key}\t{100 * key}\n" for key in range(30)))
    line = told()
    assert "key 1 at offset 100, where no complete record begins" in line
    assert "the .idx is of another file" in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3,112,112", "says 3 classes, but"),
        ("6,112,112\n31", "says 31 images, but"),
        ("6,224,224", "says images of 224x224; expected aligned 112x112"),
        ("six", "says 'six'; expected 'classes,height,width'"),
    ],
)
def test_property_that_disagrees(text: str, expected: str, told: Refused, copy: Path):
    (copy / "property").write_text(text)
    line = told()
    assert line.startswith(f"{copy / 'property'}: ")
    assert expected in line


def test_missing_pairs(told: Refused, copy: Path):
    assert f"{copy / 'nowhere.bin'}: no such file; expected a verification set" in told("data.pairs=nowhere.bin")
    (copy / "lfw_small.bin").unlink()
    assert f"no verification pairs: {copy} holds no *.bin; put lfw.bin there or name one with data.pairs" in told()


class Malicious:
    """Unpickled, it leaves a file behind."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.victim),)


def test_pairs_that_try_to_run_code(told: Refused, copy: Path, tmp_path: Path):
    content = ([b"", b""], [Malicious(tmp_path / "victim")])
    (copy / "lfw_small.bin").write_bytes(pickle.dumps(content))
    assert f"{copy / 'lfw_small.bin'}: asks to run posix.mkdir: refused" in told()
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("keep", [0, 3000])
def test_truncated_pairs(keep: int, told: Refused, copy: Path):
    file = copy / "lfw_small.bin"
    file.write_bytes(file.read_bytes()[:keep])
    line = told()
    assert line.startswith(f"{file}: is ")
    assert "copy it again" in line


def test_a_limit_below_nothing(told: Refused):
    assert told("data.max_damaged=-1").startswith("data.max_damaged is -1; expected 0 or more")


def spoiled(folder: Path, root: Path, damaged: set[int]) -> Path:
    """The data root with the JPEGs of some keys cut in half."""
    lines = (root / "train.idx").read_text().split()
    offsets = dict(zip(map(int, lines[::2]), map(int, lines[1::2]), strict=True))
    content, images = (root / "train.rec").read_bytes(), {}
    for key, at in offsets.items():
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        jpeg = content[at + 32 : at + 8 + length]
        images[key] = payload(jpeg[: len(jpeg) // 2] if key in damaged else jpeg, float(key // 5))
    shutil.copy(root / "lfw_small.bin", write_set(folder, images, classes=6))
    return folder


@pytest.mark.slow
def test_a_few_damaged_images_are_told_and_skipped(teach: Options, root: Path, tmp_path: Path, caplog):
    data = spoiled(tmp_path / "spoiled", root, {3, 7})
    caplog.set_level("WARNING")
    assert main(teach(f"data.root={data}", "data.max_damaged=2")) == 0
    told = [r.getMessage() for r in caplog.records if "skipped" in r.getMessage()]
    assert len(told) == 2
    assert {line.split(" at offset ")[0] for line in told} == {f"{data / 'train.rec'} key {key}" for key in (3, 7)}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_more_damaged_images_than_allowed_stop_the_run(
    workers: int, teach: Options, root: Path, refused: Refused, tmp_path: Path
):
    data = spoiled(tmp_path / "spoiled", root, {3, 7, 12})
    more = (f"data.root={data}", "data.max_damaged=2", "trainer.images=64", f"trainer.workers={workers}")
    line = refused(*teach(*more))
    assert line.startswith(f"{data / 'train.rec'} key ")
    assert "incomplete JPEG" in line
    assert "number 3 of this run; data.max_damaged allows 2" in line


def test_too_few_pairs_are_told_before_the_run(told: Callable[..., str], copy: Path, tmp_path: Path):
    few = tmp_path / "few.bin"
    images, same = pickle.loads((copy / "lfw_small.bin").read_bytes())  # our own file
    write_pairs(few, images[:18], same[:9])
    assert f"{few} has 9 pairs; expected at least 10" in told(f"data.pairs={few}")
