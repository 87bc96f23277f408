"""``evaluate``: from a labelled folder in the challenge's layout to figures, verdict, files and exit status."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from distill.cli import main
from reference import roc
from reference.features import image_row, video_row
from reference.pictured_faces import write_jpeg
from reference.small_data import picture
from reference.tiny_onnx import TinyOnnx

Refused = Callable[..., str]
LABELS = ["anna", "bo", "-", "anna", "anna", "-", "bo", "cy", "-", "cy", "-", "dee"]
QUICK = "bootstrap=20"
WIDE = TinyOnnx(width=512)


def crop(row: int) -> np.ndarray:
    """The picture of a row: the pattern of its person, or of a distractor, under the stronger one of the row itself."""
    person = 50 + row if LABELS[row] == "-" else sorted(set(LABELS)).index(LABELS[row])
    pattern, own = (simplejpeg.decode_jpeg(picture(p, row), "RGB").astype(float) for p in (person, 100 + row))
    return (0.25 * pattern + 0.75 * own).astype(np.uint8)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twelve images of four people and four distractors; what is decoded of each is not quite ``crop``."""
    root = tmp_path / "images"
    for row in range(len(LABELS)):
        write_jpeg(root / "faces" / f"{row}.jpg", crop(row))
    (root / "filelist.txt").write_text("".join(f"faces/{row}.jpg\n" for row in range(len(LABELS))))
    (root / "labels.txt").write_text("\n".join(LABELS) + "\n")
    return root


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """The same people in clips of one to three frames."""
    root = tmp_path / "videos"
    for row in range(len(LABELS)):
        for frame in range(1 + row % 3):
            pixels = crop(row) if frame == 0 else np.roll(crop(row), 16 * frame, axis=0)
            write_jpeg(root / f"clip{row}" / f"{frame:06}_99.jpg", pixels)
    (root / "filelist.txt").write_text("".join(f"clip{row} {row} 7\n" for row in range(len(LABELS))))
    (root / "labels.txt").write_text("\n".join(LABELS) + "\n")
    return root


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return WIDE.write(tmp_path / "model.onnx")


def embed(pixels: np.ndarray) -> np.ndarray:
    return WIDE.reference(((pixels.astype(np.float64) - 127.5) / 128).transpose(2, 0, 1)[None])[0]


def decoded(path: Path) -> np.ndarray:
    return simplejpeg.decode_jpeg(path.read_bytes(), "RGB")


def naive(rows: list[np.ndarray], fpr: float) -> tuple[float, float]:
    """TPR at FPR by a loop over all pairs of rows, in float64, and the score of the best impostor pair rejected."""
    pairs = list(combinations(range(len(LABELS)), 2))
    scores = [float(rows[a] @ rows[b]) for a, b in pairs]
    same = [LABELS[a] == LABELS[b] != "-" for a, b in pairs]
    allowed = int(fpr * same.count(False) + 1e-9)
    impostors = sorted((score for score, genuine in zip(scores, same, strict=True) if not genuine), reverse=True)
    return roc.tpr_at_fpr(scores, same, allowed), impostors[allowed]


def found(out: Path) -> dict:
    return json.loads((out / "evaluation.json").read_text())


def test_images_are_scored_as_by_a_loop(model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    options = ["evaluate", f"model={model}", f"data.root={images}", "protocol=deepglint_light", QUICK]
    assert main(options) == 0
    out = tmp_path / "evaluation-deepglint_light"
    written = found(out)
    rows = [image_row(embed, decoded(images / "faces" / f"{row}.jpg")) for row in range(len(LABELS))]
    points = {point["fpr"]: point for point in written["scores"]["points"]}
    rate, threshold = naive(rows, 0.1)
    assert 0 < rate < 1
    assert points[0.1]["tpr"] == pytest.approx(rate)
    assert points[0.1]["threshold"] == pytest.approx(threshold, abs=1e-5)
    assert points[1e-8]["tpr"] is None
    assert (written["scores"]["genuine"], written["scores"]["impostor"]) == (3 + 1 + 1, 66 - 5)
    assert (written["scores"]["identities"], written["scores"]["distractors"]) == (4, 4)
    assert (written["verdict"], written["metric"]) == ("pass", "TPR@FPR=1e-08")
    assert written["published"][0]["tpr"] == 0.8878
    assert not any(entry["comparable"] for entry in written["published"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "verdict PASS" in printed
    assert "88.78 %, 1st *" in printed
    assert "TPR@FPR=1e-08 cannot be measured here: " in printed
    assert "not comparable: the challenge never published its labels" in printed
    assert "table 9" in printed
    page = (out / "evaluation.md").read_text()
    assert "88.78 %" in page
    assert f"{images / 'filelist.txt'}" in page
    kept = {path.name for path in out.iterdir()}
    assert kept == {"check.json", "evaluation.json", "evaluation.md", "features.bin", "features.bin.json"}


def test_videos_are_the_mean_of_their_frames(model: Path, videos: Path, tmp_path: Path):
    out = tmp_path / "out"
    options = [f"model={model}", f"data.root={videos}", "protocol=iqiyi_large", f"out={out}", QUICK]
    assert main(["evaluate", *options, "protocol.far_target=0.2"]) == 0
    rows = [
        video_row(embed, [decoded(frame) for frame in sorted((videos / f"clip{row}").iterdir())])
        for row in range(len(LABELS))
    ]
    points = {point["fpr"]: point for point in found(out)["scores"]["points"]}
    for fpr in (0.2, 0.1):
        rate, threshold = naive(rows, fpr)
        assert 0 < rate < 1
        assert points[fpr]["tpr"] == pytest.approx(rate)
        assert points[fpr]["threshold"] == pytest.approx(threshold, abs=1e-5)
    assert found(out)["made_from"]["a row is"] == "f(x) of each frame, fused by mean, normalised"


def test_a_file_beyond_the_limits_is_scored_and_fails(images: Path, tmp_path: Path, capsys):
    model = TinyOnnx(width=6).write(tmp_path / "narrow.onnx")
    assert main(["evaluate", f"model={model}", f"data.root={images}", QUICK]) == 1
    written = found(tmp_path / "evaluation-deepglint_light")
    assert written["verdict"] == "fail"
    assert "512" in written["reasons"][0]
    assert written["scores"]["points"][0]["tpr"] is not None
    assert "verdict   FAIL" in capsys.readouterr().out


def test_features_are_used_again_and_those_of_another_model_are_not(
    model: Path, images: Path, tmp_path: Path, capsys, refused: Refused
):
    out = tmp_path / "out"
    options = ["evaluate", f"data.root={images}", f"out={out}", QUICK]
    assert main([*options, f"model={model}"]) == 0
    first = found(out)["scores"]
    assert main([*options, f"model={model}"]) == 0
    assert "12 of 12 rows are there already" in capsys.readouterr().out
    assert found(out)["scores"] == first
    other = TinyOnnx(width=6).write(tmp_path / "other.onnx")
    assert "features.bin has features with model_sha256" in refused(*options, f"model={other}")
    assert main([*options, f"model={other}", "fresh=true"]) == 1
    assert found(out)["scores"]["columns"] == 6


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (LABELS[:-1], "labels.txt: has 11 labels, and "),
        ([*LABELS, "x"], "labels.txt: has 13 labels, and "),
        ([*LABELS[:4], "", *LABELS[5:]], "labels.txt, line 5: is empty; expected a label, or - for a distractor"),
        ([str(n) for n in range(12)], "labels.txt: no label stands in two lines; expected people with two images"),
        (["anna"] * 12, "labels.txt: all lines have one label; expected two people or more, or distractors (-)"),
    ],
)
def test_labels_that_do_not_fit_are_told_before_the_first_embedding(
    model: Path, images: Path, tmp_path: Path, refused: Refused, labels: list[str], expected: str
):
    (images / "labels.txt").write_text("\n".join(labels) + "\n")
    assert expected in refused("evaluate", f"model={model}", f"data.root={images}", f"out={tmp_path / 'out'}")
    assert not (tmp_path / "out").exists()


def test_what_is_not_there_is_told(model: Path, images: Path, tmp_path: Path, refused: Refused):
    assert "filelist.txt: No such file" in refused("evaluate", f"model={model}", f"data.root={tmp_path}")
    (images / "labels.txt").unlink()
    assert "labels.txt: No such file" in refused("evaluate", f"model={model}", f"data.root={images}")
    said = refused("evaluate", f"model={model}", f"data.root={images}", "protocol.fusion=mean")
    assert said == "fusion is mean for kind=image; expected none, as an image has no frames"
    assert "data.root is missing: the folder with filelist.txt and labels.txt" in refused("evaluate", f"model={model}")


def test_an_image_that_cannot_be_read_is_left_out_of_features_and_score(
    model: Path, images: Path, tmp_path: Path, capsys
):
    """The figures are those of the list without its line; `make score` finds the same."""
    fewer = tmp_path / "fewer"
    shutil.copytree(images, fewer)
    for name in ("filelist.txt", "labels.txt"):
        lines = (images / name).read_text().splitlines()
        (fewer / name).write_text("\n".join(lines[:3] + lines[4:]) + "\n")
    (images / "faces" / "3.jpg").write_bytes(b"torn")
    scores = {}
    for root in (images, fewer):
        out = tmp_path / f"out-{root.name}"
        assert main(["evaluate", f"model={model}", f"data.root={root}", f"out={out}", QUICK]) in (0, 1)
        scores[root.name] = json.loads((out / "evaluation.json").read_text())
    torn = scores["images"]
    assert torn["damaged_images"] == 1
    assert torn["damaged"][0].startswith(f"{images / 'filelist.txt'}, line 4: {images / 'faces/3.jpg'}: is a text")
    assert torn["scores"]["points"] == scores["fewer"]["scores"]["points"]
    assert torn["scores"]["rows"] == [11]
    features = tmp_path / "out-images" / "features.bin"
    options = [f"features={features}", f"labels={images / 'labels.txt'}", f"out={tmp_path / 'score.json'}", QUICK]
    assert main(["score", *options]) == 0
    assert json.loads((tmp_path / "score.json").read_text())["rows_left_out"] == [1]
    assert "1 of 12 rows are of faces that could not be read, and left out" in capsys.readouterr().out
