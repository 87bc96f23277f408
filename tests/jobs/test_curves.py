"""``curves``: one page from models and pairs, from feature files and from evaluations, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from distill.cli import main
from reference.small_data import picture
from reference.tiny_onnx import TinyOnnx
from report.test_run_page import Page

Refused = Callable[..., str]
QUICK = ("bootstrap=20", "hardest=3")
LABELS = ["anna", "bo", "-", "anna", "anna", "-", "bo", "cy", "-", "cy", "-", "dee"]


def words(path: Path) -> str:
    """The text of a page on one line."""
    return " ".join(Page(path.read_text(encoding="utf-8")).text.split())


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    """Two files of one name that embed otherwise."""
    places = [tmp_path / name / "student.onnx" for name in ("one", "two")]
    for width, place in zip((6, 5), places, strict=True):
        place.parent.mkdir()
        TinyOnnx(width=width).write(place)
    return places


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twelve images of four people and four distractors in the challenge's layout."""
    root = tmp_path / "images"
    (root / "faces").mkdir(parents=True)
    for row, label in enumerate(LABELS):
        person = 50 + row if label == "-" else sorted(set(LABELS)).index(label)
        (root / "faces" / f"{row}.jpg").write_bytes(picture(person, row))
    (root / "filelist.txt").write_text("".join(f"faces/{row}.jpg\n" for row in range(len(LABELS))))
    (root / "labels.txt").write_text("\n".join(LABELS) + "\n")
    return root


@pytest.fixture
def features(models: list[Path], images: Path, tmp_path: Path) -> list[Path]:
    """The feature file of each model."""
    files = [tmp_path / f"{model.parent.name}.bin" for model in models]
    for model, out in zip(models, files, strict=True):
        assert main(["embed", f"model={model}", f"list={images / 'filelist.txt'}", f"out={out}"]) == 0
    return files


@pytest.fixture
def evaluation(models: list[Path], images: Path, tmp_path: Path) -> Path:
    """The folder of an evaluation; its verdict does not matter here."""
    out = tmp_path / "evaluation"
    main(["evaluate", f"model={models[0]}", f"data.root={images}", f"out={out}", QUICK[0]])
    return out


def as_list(paths: list[Path]) -> str:
    return "[" + ",".join(map(str, paths)) + "]"


def test_models_on_pairs(models: list[Path], root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, pairs = tmp_path / "new" / "curves.html", root / "lfw_small.bin"
    assert main(["curves", f"models={as_list(models)}", f"pairs={pairs}", f"out={out}", *QUICK]) == 0
    text = words(out)
    for expected in ("lfw_small.bin", "one", "two", "12 genuine pairs, 12 impostor pairs"):
        assert expected in text
    assert "12 impostor pairs; at least 100 needed" in text
    assert "one person, least alike" in text
    assert not Page(out.read_text()).addresses
    assert main(["verify", f"model={models[0]}", f"pairs={pairs}", f"out={tmp_path}", QUICK[0]]) == 0
    scores = json.loads((tmp_path / "verify.json").read_text())
    low, high = scores["intervals"]["tpr_at_fpr"]["0.1"]
    assert f"{100 * scores['tpr_at_fpr']['0.1']:.2f} %{100 * low:.2f} to {100 * high:.2f}" in text
    assert str(out) in capsys.readouterr().out


def test_one_run_folder_and_faces_that_may_be_shown(models: list[Path], root: Path, tmp_path: Path):
    out = tmp_path / "c.html"
    given = [f"models={models[0].parent}", f"pairs={root / 'lfw_small.bin'}", "show_faces=true", "fprs=[0.25,0.5]"]
    assert main(["curves", *given, f"out={out}", *QUICK]) == 0
    assert len(Page(out.read_text()).addresses) == 2 * (3 + 3)
    assert "Faces belong to people" not in words(out)
    assert "0.25" in words(out)
    assert "at least 100 needed" not in words(out)


def test_feature_files(features: list[Path], images: Path, tmp_path: Path):
    out = tmp_path / "c.html"
    given = ["curves", f"features={as_list(features)}", f"data.root={images}", f"out={out}", *QUICK]
    assert main(given) == 0
    text = words(out)
    for expected in ("one.bin", "two.bin", "from resampling persons", "5 genuine pairs, 61 impostor pairs"):
        assert expected in text
    assert "lines" in text
    assert "Similarities" in text
    assert main([*given, "every_pair=false"]) == 0
    assert "Similarities" not in words(out)
    assert main([*given, "show_faces=true"]) == 0
    assert len(Page(out.read_text()).addresses) == 2 * 2 * (3 + 3)


def test_hardest_pairs_of_features_are_those_of_a_loop(features: list[Path], images: Path, tmp_path: Path):
    out = tmp_path / "c.html"
    assert main(["curves", f"features={features[0]}", f"data.root={images}", f"out={out}", *QUICK]) == 0
    rows = np.fromfile(features[0], "<f4", offset=16).reshape(len(LABELS), -1).astype(np.float64)
    pairs = [(rows[i] @ rows[j], i, j) for i in range(len(LABELS)) for j in range(i + 1, len(LABELS))]
    genuine = sorted(p for p in pairs if LABELS[p[1]] == LABELS[p[2]] != "-")
    impostor = sorted((p for p in pairs if not LABELS[p[1]] == LABELS[p[2]] != "-"), reverse=True)
    for score, i, j in (*genuine[:3], *impostor[:3]):
        assert f"{score:.3f} lines {i + 1} and {j + 1}" in words(out)


def test_evaluations(evaluation: Path, images: Path, tmp_path: Path):
    out = tmp_path / "c.html"
    moved = shutil.copytree(evaluation, tmp_path / "other")
    given = f"evaluations=[{evaluation},{moved / 'evaluation.json'}]"
    assert main(["curves", given, f"out={out}", "show_faces=true", *QUICK]) == 0
    written = json.loads((evaluation / "evaluation.json").read_text())["scores"]
    text = words(out)
    assert "evaluation/evaluation.json" in text
    assert "other/evaluation.json" in text
    assert text.count("5 genuine pairs, 61 impostor pairs") == 1
    assert f"{100 * written['points'][0]['tpr']:.2f} %" in text
    assert len(Page(out.read_text()).addresses) == 2 * 2 * (3 + 3)
    (moved / "features.bin").unlink()
    assert main(["curves", f"evaluations={moved}", f"out={out}", *QUICK]) == 0
    assert "known at these FPRs only" in words(out)
    assert "Hardest pairs" not in words(out)


def test_nothing_or_half_of_it_is_given(models: list[Path], refused: Refused, features: list[Path]):
    assert refused("curves").startswith("nothing to draw; expected models=[A.onnx,runs/B] with pairs=FILE.bin")
    assert refused("curves", f"models={models[0]}").endswith("expected pairs=FILE.bin as well")
    assert refused("curves", "pairs=x.bin").endswith("expected models=[A.onnx,runs/B] as well")
    assert refused("curves", f"features={features[0]}").startswith("data.root is missing")


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("hardest=-1", "hardest is -1; expected 0 or more"),
        ("bootstrap=0", "resamples is 0; expected 1 or more"),
        ("fprs=[0.1,2]", "fprs has 2; expected numbers between 0 and 1"),
        ("out=page.pdf", "out is 'page.pdf'; expected a file that ends in .html"),
        ("models=[a,'']", "models is ['a', '']; expected a file or a list of files, e.g. models=[a,b]"),
        ("models=[a,b,c,d,e,f,g,h,i]", "models has 9 files; expected at most 8: more curves cannot be distinguished"),
    ],
)
def test_options_that_cannot_be(refused: Refused, option: str, told: str):
    assert refused("curves", option) == told


def test_files_that_cannot_be(models: list[Path], root: Path, tmp_path: Path, refused: Refused):
    pairs = f"pairs={root / 'lfw_small.bin'}"
    twice = refused("curves", f"models=[{models[0]},{models[0].parent}/../one/student.onnx]", pairs)
    assert twice == f"models has {models[0].parent} twice; expected different ones"
    none = tmp_path / "none.bin"
    told = refused("curves", f"models={models[0]}", f"pairs=[{root / 'lfw_small.bin'},{none}]")
    assert told == f"{none}: no such file; expected a verification set (.bin)"
    assert "does not exist" in refused("curves", "models=none.onnx", pairs)


def test_labels_and_features_that_do_not_fit(features: list[Path], images: Path, tmp_path: Path, refused: Refused):
    given = ["curves", f"features={features[0]}", f"data.root={images}", f"out={tmp_path / 'c.html'}"]
    (images / "labels.txt").write_text("\n".join(f"p{row}" for row in range(12)))
    assert refused(*given) == (f"{images / 'labels.txt'}: makes 0 genuine and 66 impostor pairs; expected both")
    (images / "labels.txt").write_text("anna\nbo\n")
    assert "has 2 labels, and" in refused(*given)
    (images / "filelist.txt").write_text("faces/1.jpg\nfaces/2.jpg\n")
    assert refused(*given) == f"{features[0]}: has 12 rows; expected 2, one for each line of the list"
    assert not (tmp_path / "c.html").exists()


def test_evaluations_that_are_none_or_of_other_faces(evaluation: Path, images: Path, tmp_path: Path, refused: Refused):
    (tmp_path / "x.json").write_text('{"made_from": {}}')
    assert refused("curves", f"evaluations={tmp_path / 'x.json'}").startswith(
        f"{tmp_path / 'x.json'}: holds no evaluation"
    )
    assert "cannot be read" in refused("curves", f"evaluations={tmp_path / 'nowhere.json'}")
    journal = evaluation / "features.bin.json"
    whole = json.loads(journal.read_text())
    journal.write_text(json.dumps({**whole, "model_sha256": "another"}))  # killed before it wrote its evaluation
    told = refused("curves", f"evaluations={evaluation}")
    assert told.startswith(f"{evaluation / 'features.bin'}: is of another network than")
    journal.write_text(json.dumps(whole))
    (images / "labels.txt").write_text("\n".join(LABELS).replace("cy", "bo"))
    told = refused("curves", f"evaluations={evaluation}")
    assert told.startswith(f"{images / 'labels.txt'}: has changed since {evaluation / 'evaluation.json'} was written")
    (images / "filelist.txt").write_text("faces/1.jpg\n")
    told = refused("curves", f"evaluations={evaluation}")
    assert told.startswith(f"{images / 'filelist.txt'}: has changed since")


def test_an_image_that_is_spoiled_when_it_is_to_be_shown(
    features: list[Path], images: Path, tmp_path: Path, refused: Refused
):
    for row in range(len(LABELS)):
        spoiled = simplejpeg.encode_jpeg(np.zeros((90, 112, 3), np.uint8), 90, "RGB", "444")
        (images / "faces" / f"{row}.jpg").write_bytes(spoiled)
    told = refused(
        "curves", f"features={features[0]}", f"data.root={images}", f"out={tmp_path / 'c.html'}", "show_faces=true"
    )
    assert "filelist.txt, line " in told
    assert told.endswith("is 112x90; expected an aligned 112x112 crop")
