"""Mistakes in options and text files are reported before the first network pass: these tests' network only raises."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.cli import main
from distill.data.pairs import write_pairs
from distill.errors import UserError
from distill.files.writable import require_writable
from distill.nightly.records import record_path
from reference import ijb_layout
from reference.small_data import picture
from reference.tiny_onnx import TinyOnnx
from teachers.onnx_network import OnnxNetwork
from teachers.teacher import Teacher

Refused = Callable[..., str]
LABELS = ["anna", "bo", "-", "anna", "bo"]


@pytest.fixture(autouse=True)
def no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is run is the failure."""

    def run(*_: object) -> torch.Tensor:
        raise AssertionError("a network was run")

    monkeypatch.setattr(OnnxNetwork, "embed", run)
    monkeypatch.setattr(Teacher, "embed", run)
    monkeypatch.setattr(Teacher, "output", run)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return TinyOnnx(width=512).write(tmp_path / "model.onnx")


@pytest.fixture
def ijb(tmp_path: Path) -> Path:
    return ijb_layout.small().write(tmp_path / "IJBC")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Five faces in the challenge's layout."""
    root = tmp_path / "images"
    root.mkdir()
    for row in range(len(LABELS)):
        (root / f"{row}.jpg").write_bytes(picture(row, row))
    (root / "filelist.txt").write_text("".join(f"{row}.jpg\n" for row in range(len(LABELS))))
    (root / "labels.txt").write_text("\n".join(LABELS) + "\n")
    return root


@pytest.fixture
def in_the_way(tmp_path: Path) -> Path:
    """A file where a folder is expected."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file"


def pairs_file(path: Path, count: int, same: Callable[[int], bool]) -> Path:
    """So many pairs, written as a set."""
    write_pairs(path, [picture(k, k) for k in range(2 * count)], [same(k) for k in range(count)])
    return path


def scored(ijb: Path, score: Callable[[str, str], str]) -> None:
    """Give every image a detector's score by its name and template."""
    template = dict(line.split()[:2] for line in (ijb / "meta/ijbc_face_tid_mid.txt").read_text().splitlines())
    path = ijb / "meta/ijbc_name_5pts_score.txt"
    lines = [line.split() for line in path.read_text().splitlines()]
    path.write_text("".join(" ".join([*w[:-1], score(w[0], template[w[0]]) or w[-1]]) + "\n" for w in lines))


def test_a_template_without_any_detector_score_is_named(ijb: Path, model: Path, refused: Refused):
    scored(ijb, lambda name, template: "0" if template in ("101", "20") else "")
    first = next(
        line.split()[0]
        for line in (ijb / "meta/ijbc_face_tid_mid.txt").read_text().splitlines()
        if line.split()[1] in ("101", "20")
    )
    line = refused("ijb", f"model={model}", f"data.root={ijb}")
    assert line.startswith(f"{ijb}/meta/ijbc_name_5pts_score.txt: gives every image of template 101 ({first} is one)")
    assert "as of 2 of 22 templates" in line
    assert "detector_score=false" in line


def test_one_score_above_zero_is_enough_and_without_scores_none_is(ijb: Path, model: Path):
    scored(ijb, lambda name, template: "0" if template == "101" else "")
    with pytest.raises(AssertionError, match="a network was run"):
        main(["ijb", f"model={model}", f"data.root={ijb}", "detector_score=false"])
    scored(ijb, lambda name, template: "0.1" if name == "1.jpg" else "")
    with pytest.raises(AssertionError, match="a network was run"):
        main(["ijb", f"model={model}", f"data.root={ijb}"])


@pytest.mark.parametrize(
    ("score", "line"),
    [
        ("-1", "gives 2.jpg the detector's score -1; expected 0 or more"),
        ("nan", "line 2: has 'nan'; expected a number"),
    ],
)
def test_scores_that_are_none(ijb: Path, model: Path, refused: Refused, score: str, line: str):
    scored(ijb, lambda name, template: score if name == "2.jpg" else "")
    assert line in refused("ijb", f"model={model}", f"data.root={ijb}")


@pytest.mark.parametrize("label", ["0", "1"])
def test_template_pairs_of_one_kind(ijb: Path, model: Path, refused: Refused, label: str):
    (ijb / "meta/ijbc_template_pair_label.txt").write_text(f"101 10 {label}\n")
    assert "impostor pairs; expected both kinds" in refused("ijb", f"model={model}", f"data.root={ijb}")


def test_a_gallery_of_people_whom_no_probe_shows(ijb: Path, model: Path, refused: Refused):
    path = ijb / "meta/ijbc_1N_probe_mixed.csv"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *(row for row in rows if row.split(",")[1] not in ("1", "2"))]) + "\n")
    line = refused("ijb", f"model={model}", f"data.root={ijb}", "task=identify")
    assert line.startswith(f"{path}: shows none of the 2 people of ijbc_1N_gallery_G1.csv")


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("bootstrap=0", "resamples is 0; expected 1 or more"),
        ("seed=-1", "seed is -1; expected 0 or more"),
        ("batch_size=0", "batch_size is 0; expected 1 or more"),
        ("folds=25", "24 pairs for 25 folds"),
        ("folds=1", "24 pairs for 1 folds"),
        ("out={file}", "cannot write {file}/verify.json: Not a directory"),
    ],
)
def test_verify(option: str, line: str, root: Path, model: Path, in_the_way: Path, refused: Refused):
    given = option.replace("{file}", str(in_the_way))
    told = refused("verify", f"model={model}", f"pairs={root / 'lfw_small.bin'}", given)
    assert line.replace("{file}", str(in_the_way)) in told


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("bootstrap=0", "resamples is 0; expected 1 or more"),
        ("seed=-1", "seed is -1; expected 0 or more"),
        ("batch_size=0", "batch_size is 0; expected 1 or more"),
        ("protocol.far_target=1.5", "protocol.target_fpr is 1.5; expected a number between 0 and 1"),
        ("max_memory_bytes=1000", "max_memory_bytes is 1000; 512 columns need"),
        ("device=nowhere", "device is nowhere, which cannot be used"),
        ("out={file}", "cannot write {file}/evaluation.json: Not a directory"),
    ],
)
def test_evaluate(option: str, line: str, images: Path, model: Path, in_the_way: Path, refused: Refused):
    given = option.replace("{file}", str(in_the_way))
    told = refused("evaluate", f"model={model}", f"data.root={images}", given)
    assert line.replace("{file}", str(in_the_way)) in told


def test_labels_and_lists_of_an_evaluation(images: Path, model: Path, refused: Refused):
    command = ("evaluate", f"model={model}", f"data.root={images}")
    (images / "labels.txt").write_text("a\nb\na\n")
    assert "has 3 labels, and" in refused(*command)
    (images / "labels.txt").write_text("a\nb\nc\nd\ne\n")
    assert "no label stands in two lines" in refused(*command)
    (images / "3.jpg").unlink()
    assert "3.jpg: no such file" in refused(*command)


def test_embed_looks_at_its_file_first(images: Path, model: Path, in_the_way: Path, refused: Refused, tmp_path: Path):
    command = ("embed", f"model={model}", f"list={images / 'filelist.txt'}")
    assert refused(*command, f"out={in_the_way}/a.bin").startswith(f"cannot write {in_the_way}/a.bin: Not a directory")
    assert refused(*command, f"out={tmp_path}").startswith(f"cannot write {tmp_path}: is a folder")


@pytest.mark.parametrize("option", ["out", "work"])
def test_score_tries_its_places_first(option: str, tmp_path: Path, in_the_way: Path, refused: Refused):
    np.save(tmp_path / "f.npy", np.eye(4, dtype=np.float32))
    (tmp_path / "l.txt").write_text("a\na\nb\nb\n")
    command = ("score", f"features={tmp_path / 'f.npy'}", f"labels={tmp_path / 'l.txt'}")
    assert refused(*command, f"{option}={in_the_way}/s").startswith(f"cannot write {in_the_way}/s")
    assert "device is nowhere" in refused(*command, "device=nowhere")
    assert "seed is -1" in refused(*command, "seed=-1")


def test_curves_opens_all_sets_before_the_first_pass(root: Path, model: Path, tmp_path: Path, refused: Refused):
    one = pairs_file(tmp_path / "one.bin", 12, lambda _: True)
    line = refused("curves", f"models={model}", f"pairs=[{root / 'lfw_small.bin'},{one}]", f"out={tmp_path}/c.html")
    assert line == f"{one}: all pairs are genuine; expected some of each kind"


def test_judge(root: Path, model: Path, in_the_way: Path, refused: Refused):
    command = ("judge", f"challenger={model}", f"pairs={root / 'lfw_small.bin'}")
    line = refused(*command)
    assert line.startswith(f"{root / 'lfw_small.bin'}: too few pairs to judge any model by auc (12 pairs of the rarer")
    assert f"cannot write {in_the_way}/judge.json" in refused(*command, f"out={in_the_way}")
    assert (
        refused(*command, "judge.anchor=nowhere.onnx", "judge.margin.auc=0.9")
        == "ONNX file nowhere.onnx does not exist"
    )


def test_a_night_judges_its_benchmarks_before_its_signals(
    teacher: Path, tmp_path: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
):
    for number in range(3):
        for person in range(3):
            place = tmp_path / "drops/one" / f"p{person}" / f"{number}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(picture(person, number))
    (tmp_path / "sets").mkdir()
    small = pairs_file(tmp_path / "sets/small.bin", 20, lambda k: k % 2 == 0)
    options = ["teacher=onnx", f"teacher.weights={teacher}", "tracking=none", "trainer=smoke"]
    places = [f"drops={tmp_path / 'drops'}", f"root={tmp_path / 'service'}", f"benchmarks={tmp_path / 'sets'}"]
    assert f"{small}: too few pairs to judge any model by auc" in refused("nightly", *options, *places)
    small.write_bytes(b"torn")
    assert str(small) in refused("nightly", *options, *places)
    assert not record_path(tmp_path / "service/nights/0001", "signals").exists()


def test_signals_try_their_folder_before_their_teacher(teacher: Path, root: Path, in_the_way: Path, refused: Refused):
    command = ("signals", "teacher=onnx", f"teacher.weights={teacher}", f"data.root={root}")
    assert f"cannot write {in_the_way}/" in refused(*command, f"out={in_the_way}")
    assert "nowhere" in refused(*command, "data.transfer=[nowhere]")


def test_a_place_is_tried_by_writing(tmp_path: Path):
    assert require_writable(tmp_path / "a/b/c.json") == tmp_path / "a/b/c.json"
    assert list((tmp_path / "a/b").iterdir()) == []
    with pytest.raises(UserError, match=r"^cannot write .*/proc/x/y: "):
        require_writable(Path("/proc/x/y"))


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("seed=-1", "seed is -1; expected 0 or more"),
        ("trainer.schedule.warmup_fraction=1", "trainer.schedule.warmup_fraction is 1.0; expected 0 or more, below 1"),
        ("trainer.optimizer.lr=0", "trainer.optimizer.lr is 0.0; expected a positive number"),
        ("trainer.ema_decay=1", "trainer.ema_decay is 1.0; expected 0 (off) or more, below 1"),
        ("trainer.small_px=20", "trainer.small_px is 20; expected a multiple of 16"),
        ("trainer.batch_size=0", "trainer.batch_size is 0; expected at least 1"),
        ("trainer.validate_pairs=9", "trainer.validate_pairs is 9; expected at least 10"),
    ],
)
def test_a_recipe_is_judged_before_the_teacher_is_tried(
    option: str, line: str, options: Callable[..., list[str]], refused: Refused
):
    assert line in refused("distill", *options(option))


def test_labels_of_one_person_teach_nothing(
    options: Callable[..., list[str]], root: Path, tmp_path: Path, refused: Refused
):
    for number in range(3):
        place = tmp_path / "set/only" / f"{number}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(picture(1, number))
    shutil.copy(root / "lfw_small.bin", tmp_path / "set")
    line = refused("distill", *options("data=folder", f"data.root={tmp_path / 'set'}", "objective=margin"))
    assert line.startswith("objective term CosFace needs a labelled set of at least 2 identities; got 1")
