"""Every job where nothing is UTF-8: the current folder, folders of people, files of sets, models, lists and results."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from distill.cli import main
from distill.config.compose import read_config
from distill.config.training_jobs import DistillConf
from distill.data.pairs import write_pairs
from reference import ijb_layout
from reference.small_data import PEOPLE, PICTURES, SMALL_TEACHER, picture
from reference.tiny_onnx import TinyOnnx

Run = Callable[..., str]
QUICK = "bootstrap=20"
STUDENT = [
    *(f"student.network.{option}" for option in ("widths=[8,8,8,8]", "units=[1,1,1]", "last_channels=16")),
    *("trainer=smoke", "trainer.images=64", "trainer.workers=0", "tracking=none", "teacher=onnx", "data=folder"),
]


def name(content: bytes) -> str:
    """A name as Python has it."""
    return os.fsdecode(content)


FACES, PAIRS, MODEL, OUT = name(b"faces_M\xfcller"), name(b"lfw_\xfc.bin"), name(b"net_\xfc.onnx"), name(b"\xf6ut")
HOSTILE = name(b"an\x1b[31mna\n\xe9")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds faces, pairs and a network."""
    folder = tmp_path_factory.mktemp("made") / name(b"w\xe9rk")
    for person in range(PEOPLE):
        place = folder / FACES / (HOSTILE if person == 0 else name(b"p\xe9rson %d" % person))
        place.mkdir(parents=True)
        for number in range(PICTURES):
            (place / name(b"bild_\xfc%d.jpg" % number)).write_bytes(picture(person, number))
    rows = [(100 + k % 4, 100 + (k % 4 if k % 2 else (k + 1) % 4), k) for k in range(24)]
    encoded = [image for a, b, k in rows for image in (picture(a, 2 * k), picture(b, 2 * k + 1))]
    write_pairs(folder / FACES / PAIRS, encoded, [a == b for a, b, _ in rows])
    TinyOnnx(width=6).write(folder / MODEL)
    return folder


@pytest.fixture
def work(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as current folder."""
    folder = Path(shutil.copytree(made, tmp_path / made.name))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(work: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a job with options in quotes; what it prints and the pages that it leaves are text for everybody."""

    def job(*arguments: str, expected: int = 0, **options: str) -> str:
        status = main([*arguments, *(f'{key.replace("__", ".")}="{value}"' for key, value in options.items())])
        told = capsys.readouterr()
        assert status == expected, told.err
        assert "Traceback" not in told.err
        for text in (told.out, told.err, *pages(work)):
            assert "\x1b" not in text
            text.encode()
        return told.out

    return job


def pages(folder: Path) -> Iterator[str]:
    """Pages, and what JSON files say."""
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in (".html", ".md"):
            yield path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_distil_resume_and_export(run: Run, work: Path):
    options = {"data__root": FACES, "teacher__weights": MODEL, "run__root": OUT}
    printed = run("distill", *STUDENT, **options)
    assert "\\xf6ut" in printed
    folder = (work / OUT / "latest").resolve()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "faces_M\\xfcller" in page
    assert "faces_M\\xfcller" in (folder / "card.md").read_text(encoding="utf-8")
    assert "faces_M\\xfcller" in json.loads((folder / "metrics.json").read_text())["command"]
    assert read_config(folder / "config.yaml", DistillConf).data.root == FACES
    assert "this run is finished" in run("distill", *STUDENT, **options)
    (folder / "metrics.json").unlink()
    run("distill", *STUDENT, **options)
    run("export", run=f"{OUT}/latest")
    run("check", model=f"{OUT}/latest/student.onnx")
    run("dashboard", "--runs", OUT)


@pytest.mark.slow
def test_track(run: Run, work: Path, caplog: pytest.LogCaptureFixture):
    tracked = [option for option in STUDENT if option != "tracking=none"]
    run("distill", *tracked, data__root=FACES, teacher__weights=MODEL, run__root=OUT, tracking__group=FACES)
    assert not [line for line in caplog.messages if "off for the rest" in line]


@pytest.mark.slow
def test_teach_and_distil_from_it(run: Run, work: Path):
    weights = f"{OUT}/w\udcfc.safetensors"
    teach = [*SMALL_TEACHER, "trainer=smoke", "trainer.images=64", "trainer.workers=0", "tracking=none", "data=folder"]
    run("teach", *teach, data__root=FACES, teacher__weights=weights, run__name=name(b"r\xfcn"))
    assert (work / weights).exists()
    run(
        "distill",
        *[o for o in STUDENT if o != "teacher=onnx"],
        *SMALL_TEACHER,
        "teacher.check=false",
        data__root=FACES,
        teacher__weights=weights,
    )


@pytest.mark.slow
def test_signals(run: Run, work: Path):
    signals = ["signals", "teacher=onnx", "data=folder", "workers=0"]
    assert "\\xf6ut" in run(*signals, data__root=FACES, teacher__weights=MODEL, out=OUT)
    run(*signals, data__root=FACES, teacher__weights=MODEL, out=OUT)
    run("distill", *STUDENT, "data.augment.shift_px=0", data__root=FACES, teacher__weights=MODEL, signals=OUT)


@pytest.mark.slow
def test_verify_curves_and_judge(run: Run, work: Path):
    pairs = f"{FACES}/{PAIRS}"
    run("verify", QUICK, model=MODEL, pairs=pairs, out=f"{OUT}/\udcfc.json")
    run("verify", QUICK, model=MODEL, pairs=FACES)
    run("curves", QUICK, models=MODEL, pairs=pairs, out=f"{OUT}/\udcfc.html")
    assert "lfw_\\xfc" in (work / OUT / "\udcfc.html").read_text(encoding="utf-8")
    figures = ("accuracy", "auc", "tpr_at_fpr")
    margins = [f"judge.{where}.{name}=0.99" for where in ("margin", "slice_margin") for name in figures]
    judge = ["judge", "judge.resamples=100", "judge.fpr=0.6", *margins]
    run(*judge, expected=1, challenger=MODEL, champion=MODEL, pairs=pairs)


def labelled(work: Path) -> list[str]:
    """List and labels of the faces, whose lines are no UTF-8; one name cannot stand on a line of a list."""
    people = sorted(path for path in (work / FACES).iterdir() if path.is_dir() and path.name != HOSTILE)
    files = [file for person in people for file in sorted(person.iterdir())]
    lines = {"filelist.txt": [os.fsencode(f.relative_to(work / FACES)) for f in files]}
    lines["labels.txt"] = [os.fsencode(file.parent.name) for file in files]
    for file, content in lines.items():
        (work / FACES / file).write_bytes(b"\n".join(content) + b"\n")
    return [str(file) for file in files]


def test_embed_evaluate_and_score(run: Run, work: Path):
    labelled(work)
    TinyOnnx(width=512).write(work / MODEL)
    assert "\\xf6ut" in run("embed", model=MODEL, list=f"{FACES}/filelist.txt", out=OUT)
    run("embed", model=MODEL, list=f"{FACES}/filelist.txt", out=OUT)
    run("score", QUICK, features=OUT, labels=f"{FACES}/labels.txt", out="\udcfc.json")
    run("evaluate", QUICK, model=MODEL, data__root=FACES, out="\udcfc")
    run("evaluate", QUICK, model=MODEL, data__root=FACES, out="\udcfc")
    assert "net_\\xfc.onnx" in (work / "\udcfc" / "evaluation.md").read_text(encoding="utf-8")
    json.loads((work / "\udcfc" / "evaluation.json").read_text())["command"].encode()
    run("curves", QUICK, features=OUT, data__root=FACES, out="c.html")
    run("curves", QUICK, evaluations="\udcfc", out="d.html")


def test_an_unreadable_picture_is_named(work: Path, capsys: pytest.CaptureFixture[str]):
    Path(labelled(work)[3]).write_bytes(b"torn")
    main(["embed", f'model="{MODEL}"', f'list="{FACES}/filelist.txt"', f'out="{OUT}"', "max_damaged=0"])
    told = capsys.readouterr().err
    assert "p\\xe9rson" in told
    told.encode()


def test_ijb(run: Run, work: Path):
    ijb_layout.small().write(work / "IJBC").rename(work / FACES / name(b"IJBC_\xfc"))
    run("ijb", QUICK, model=MODEL, data__root=f"{FACES}/{name(b'IJBC_' + bytes([0xFC]))}", out=OUT)


@pytest.mark.slow
def test_a_service(run: Run, work: Path):
    drop = work / "dr\udcfcps" / "2026-01-01"
    shutil.copytree(work / FACES, drop)
    (drop / PAIRS).unlink()
    shutil.copytree(work / FACES, work / "b\udcfcnch", ignore=lambda _, names: {n for n in names if n != PAIRS})
    margins = [f"judge.margin.{figure}=0.99" for figure in ("accuracy", "auc", "tpr_at_fpr")]
    small = [option for option in STUDENT if option not in ("data=folder", "trainer.images=64", "trainer.workers=0")]
    quick = ["trainer@continued=smoke", "judge.floor=0.01", "judge.resamples=200", *margins]
    places = {"drops": "dr\udcfcps", "benchmarks": "b\udcfcnch", "root": OUT, "teacher__weights": MODEL}
    printed = run("nightly", *small, *quick, expected=10, **places)
    assert "PROMOTED" in printed
    assert "an\\x1b[31mna\\n" not in printed
    assert "nothing to do" in run("nightly", *small, *quick, **places)
    run("nights", root=OUT, out=f"{OUT}/\udcfc.html")
    run("nights", root=OUT, out="beside.html")
    assert f'href="{quote(os.fsencode(OUT))}/nights/0001/report.html"' in (work / "beside.html").read_text()
    run("registry", root=OUT)
    assert main(["rollback", f'root="{OUT}"']) in (0, 2)


@pytest.mark.slow
def test_a_sheet_of_drawn_faces(run: Run, work: Path):
    run("contact_sheet", "people=1", "pictures=1", out="\udcfc.png")
    assert (work / "\udcfc.png").exists()


def test_a_mistake_is_one_line_that_can_be_printed(work: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["verify", 'model="n\udcfc.onnx"', f'pairs="{FACES}"']) == 2
    told = capsys.readouterr().err
    assert "n\\xfc.onnx" in told
    assert len(told.splitlines()) == 1
