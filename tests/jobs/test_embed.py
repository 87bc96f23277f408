"""``embed``: the file of a list end to end, killed and continued, and what it refuses before and during its work."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.cli import main
from distill.export.onnx_file import export_onnx
from distill.features.feature_file import open_features
from distill.runs.assemble import STUDENT_INPUT
from distill.runs.export import described
from distill.students.frame_quality import CropQuality
from reference.features import image_row, read_file, video_row
from reference.fusion import template
from reference.pictured_faces import TINY, embed, face, write_jpeg
from reference.pictures import containers, png_turned

Refused = Callable[..., str]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return TINY.write(tmp_path / "model.onnx")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A root of seven images and its list."""
    root = tmp_path / "images"
    for number in range(7):
        write_jpeg(root / "faces" / f"{number}.jpg", face(number))
    (root / "filelist.txt").write_text("".join(f"faces/{number}.jpg\n" for number in (3, 1, 4, 0, 5, 2, 6)))
    return root


def test_images_in_the_order_of_the_list(model: Path, images: Path, tmp_path: Path, capsys):
    out = tmp_path / "new" / "a.bin"
    options = ["embed", f"model={model}", f"list={images / 'filelist.txt'}", f"out={out}", "batch_size=3"]
    assert main(options) == 0
    expected = [image_row(embed, face(number)) for number in (3, 1, 4, 0, 5, 2, 6)]
    np.testing.assert_allclose(read_file(out), expected, atol=0.02)  # JPEG alters the pixels; tests/features is exact
    printed = capsys.readouterr().out
    assert "7, each finite and of unit length" in printed
    assert "f(x) + f(mirrored x), normalised" in printed
    assert "default: RGB, mean 127.5, std 128" in printed
    journal = json.loads((out.parent / "a.bin.json").read_text())
    assert (journal["rows_written"], journal["rows"], journal["cols"], journal["kind"]) == (7, 7, 6, "image")
    stamp = out.stat().st_mtime_ns
    assert main(options) == 0
    assert "7 of 7 rows are there already" in capsys.readouterr().out
    assert out.stat().st_mtime_ns == stamp


def test_a_run_folder_and_another_root(model: Path, images: Path, tmp_path: Path):
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    shutil.copy(model, run / "student.onnx")
    (tmp_path / "runs" / "latest").symlink_to("one")
    shutil.move(images / "filelist.txt", tmp_path / "l.txt")
    out = tmp_path / "a.bin"
    where = [f"list={tmp_path / 'l.txt'}", f"root={images}", f"out={out}"]
    assert main(["embed", f"model={tmp_path / 'runs' / 'latest'}", *where]) == 0
    assert open_features(out).shape == (7, 6)


@pytest.mark.parametrize("fusion", ["mean", "norm"])
def test_videos(model: Path, tmp_path: Path, fusion: str):
    frames = [[write_jpeg(tmp_path / f"v{v}" / f"{n}.jpg", face(9 * v + n)) for n in range(v + 1)] for v in range(3)]
    (tmp_path / "list.txt").write_text("v2 7 x\nv0\nv1\n")
    out = tmp_path / "a.bin"
    options = [f"model={model}", f"list={tmp_path / 'list.txt'}", f"out={out}", "kind=video", f"fusion={fusion}"]
    assert main(["embed", *options]) == 0
    expected = [video_row(embed, frames[v], by_length=fusion == "norm") for v in (2, 0, 1)]
    np.testing.assert_allclose(read_file(out), expected, atol=2e-6)


@pytest.mark.slow
def test_frames_weighed_by_a_network_of_their_own(model: Path, tmp_path: Path, refused):
    frames = [write_jpeg(tmp_path / "v" / f"{n}.jpg", face(n) // (n + 1)) for n in range(4)]
    (tmp_path / "list.txt").write_text("v\n")
    crops = STUDENT_INPUT(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2))
    torch.manual_seed(0)
    network = CropQuality((4, 4, 4, 4))
    for _ in range(20):  # batch norms that have seen pictures
        network(crops)
    torch.nn.init.normal_(network.eval().last.weight)
    quality = tmp_path / "frame_quality.onnx"
    export_onnx(network, quality, described(network, 1, "test"), 18)
    out = tmp_path / "a.bin"
    video = [f"model={model}", f"list={tmp_path / 'list.txt'}", f"out={out}", "kind=video"]
    assert main(["embed", *video, "fusion=network", f"frame_quality={quality}"]) == 0
    with torch.no_grad():
        weights = network(crops)[:, 0].tolist()
    assert max(weights) > 1.05 * min(weights)
    np.testing.assert_allclose(read_file(out)[0], template(np.stack([embed(f) for f in frames]), weights), atol=1e-4)
    told = refused("embed", *video, "fusion=network")
    assert told == (
        "frame_quality is null and fusion network; expected frame_quality=FILE.onnx with fusion=network or qan, "
        "and neither without the other"
    )
    assert "frame_quality is x.onnx and fusion mean" in refused("embed", *video, "frame_quality=x.onnx")
    assert refused("embed", *video, "fusion=network", f"frame_quality={model}") == (
        f"{model} has no output [b 1]; it gives embedding [1, 6]"
    )


@pytest.mark.slow
def test_killed_and_continued_it_gives_the_same_bytes(model: Path, tmp_path: Path):
    root, rows = tmp_path / "many", 3 * 1024 + 100
    for number in range(8):
        write_jpeg(root / f"{number}.jpg", face(number))
    for number in range(8, rows):
        os.link(root / f"{number % 8}.jpg", root / f"{number}.jpg")
    (root / "list.txt").write_text("".join(f"{number}.jpg\n" for number in range(rows)))

    def command(out: Path) -> list[str]:
        job = [sys.executable, "-m", "distill", "embed", f"model={model}", f"list={root / 'list.txt'}", "batch_size=16"]
        return [*job, f"out={out}"]

    killed, whole = tmp_path / "killed.bin", tmp_path / "whole.bin"
    journal = tmp_path / "killed.bin.json"
    process = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL)
    until_s = time.monotonic() + 60
    while not (journal.exists() and json.loads(journal.read_text())["rows_written"]):
        assert time.monotonic() < until_s
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not killed.exists()
    safe = json.loads(journal.read_text())["rows_written"]
    assert 0 < safe < rows
    done = subprocess.run(command(killed), capture_output=True, text=True, check=True)
    assert f"{safe:,} of {rows:,} rows are there already" in done.stdout
    assert main(command(whole)[3:]) == 0
    assert killed.read_bytes() == whole.read_bytes()
    assert {p.name for p in tmp_path.iterdir() if p.name.startswith("killed")} == {"killed.bin", "killed.bin.json"}


@pytest.fixture
def told(model: Path, images: Path, tmp_path: Path, refused: Refused) -> Refused:
    """The line about a spoiled list or model, after the name of the list; no feature file may be there."""

    def run(*more: str) -> str:
        out = tmp_path / "out.bin"
        line = refused("embed", f"model={model}", f"list={images / 'filelist.txt'}", f"out={out}", *more)
        assert not out.exists()
        return line.removeprefix(str(images / "filelist.txt"))

    return run


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"faces/none.jpg", "no such file; expected an image"),
        (b"../images/faces/1.jpg", "leaves the root; expected a path below"),
        (b"faces/1.jpg", "stands in line 2 already; expected every line once"),
        (b"faces/\xff.jpg", "no such file; expected an image (the line is not UTF-8"),
        (b" ", "is empty; expected the path of an image"),
    ],
)
def test_what_the_list_shows_is_told_before_the_first_row(told: Refused, images: Path, tmp_path: Path, line, expected):
    with (images / "filelist.txt").open("ab") as file:
        file.write(line + b"\nfaces/6.jpg\n" if line == b" " else line + b"\n")
    said = told()
    assert said.startswith(", line 8: ")
    assert expected in said
    assert not list(tmp_path.glob("out.bin*"))


def test_an_empty_list(told: Refused, images: Path):
    (images / "filelist.txt").write_text("\n")
    assert told() == ": is empty; expected the path of an image on each line"


def test_images_that_cannot_be_decoded(told: Refused, images: Path):
    spoiled = images / "faces" / "5.jpg"
    spoiled.write_bytes(spoiled.read_bytes()[:1000])
    assert told("max_damaged=0").startswith(f", line 5: {spoiled}: incomplete JPEG")
    write_jpeg(spoiled, np.zeros((96, 112, 3), np.uint8))
    told_again = told("max_damaged=0")
    assert told_again.startswith(
        f", line 5: {spoiled}: is 112x96; expected an aligned 112x112 crop: damaged, number 1 of"
    )
    spoiled.write_bytes(b"GIF89a\0\0")
    assert f"line 5: {spoiled}: is a GIF" in told("max_damaged=0")


def test_an_empty_video(told: Refused, images: Path):
    (images / "v").mkdir()
    (images / "filelist.txt").write_text("v 1\n")
    assert told("kind=video") == f", line 1: {images / 'v'}: is an empty video; expected at least one frame *.jpg"


def test_options_that_cannot_be(told: Refused, images: Path, tmp_path: Path):
    assert told("batch_size=0") == "batch_size is 0; expected at least 1"
    assert "root: no such folder" in told(f"root={tmp_path / 'root'}")
    assert "holds no student.onnx: expected an ONNX file, or the folder of a finished run" in told(f"model={tmp_path}")
    assert "does not exist" in told("model=none.onnx")


def test_another_list_is_not_continued(model: Path, images: Path, tmp_path: Path, refused: Refused):
    out = tmp_path / "a.bin"
    options = ["embed", f"model={model}", f"list={images / 'filelist.txt'}", f"out={out}"]
    assert main(options) == 0
    before = out.read_bytes()
    (images / "filelist.txt").write_text("faces/1.jpg\n")
    assert "a.bin has features with list_sha256" in refused(*options)
    assert out.read_bytes() == before
    assert main([*options, "fresh=true"]) == 0
    assert open_features(out).shape == (1, 6)


def test_one_picture_in_every_container_has_one_row(model: Path, tmp_path: Path):
    pixels = face(3)
    stored = {**containers(pixels), "turned": png_turned(pixels, 6)}
    for name, content in stored.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "list.txt").write_text("\n".join(stored))
    assert main(["embed", f"model={model}", f"list={tmp_path / 'list.txt'}", f"out={tmp_path / 'a.bin'}"]) == 0
    rows = read_file(tmp_path / "a.bin")
    np.testing.assert_allclose(rows, np.tile(image_row(embed, pixels), (len(stored), 1)), atol=2e-6)


def test_a_list_with_a_few_torn_images_is_done_and_says_so(model: Path, images: Path, tmp_path: Path, capsys, refused):
    (images / "faces" / "4.jpg").write_bytes((images / "faces" / "4.jpg").read_bytes()[:-300])
    options = ["embed", f"model={model}", f"list={images / 'filelist.txt'}", f"out={tmp_path / 'a.bin'}"]
    assert refused(*options, "max_damaged=0").startswith(f"{images / 'filelist.txt'}, line 3: ")
    assert main([*options, "fresh=true"]) == 0
    assert "but for 1 of zeros: 1 damaged image left out" in " ".join(capsys.readouterr().out.replace("|", " ").split())
    journal = json.loads((tmp_path / "a.bin.json").read_text())
    assert journal["rows_without_features"] == [2]
    assert journal["damaged"][0][1].startswith(
        f"{images / 'filelist.txt'}, line 3: {images / 'faces/4.jpg'}: incomplete JPEG"
    )
    assert main(options) == 0, "what is done already is known to have this row"
    for name in (images / "faces").iterdir():
        name.write_bytes(b"torn")
    assert "none of its images can be read" in refused(*options, "fresh=true")
