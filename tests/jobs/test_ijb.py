"""``ijb`` from loose crops to figures, against loops over the same crops; and its mistakes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_curve

from distill.cli import main
from distill.data.align import align
from distill.data.decode import decode_any
from distill.data.ijb import LooseFaces, find_ijb, read_faces
from distill.data.recordio import RecordIOSet as RecordSet
from distill.errors import UserError
from reference import ijb_layout
from reference.ijb_layout import Image
from reference.rates import tpr_at_fpr
from reference.templates import dir_at_far, ranks_and_scores, template_feature
from reference.tiny_onnx import TinyOnnx
from teachers.onnx_network import OnnxNetwork

SMALL = ijb_layout.small()
TINY = TinyOnnx(width=16)
QUICK = "bootstrap=20"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ijb")
    TINY.write(folder / "tiny.onnx")
    return SMALL.write(folder / "IJBC")


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy, free to be damaged, beside the network."""
    shutil.copy(written.parent / "tiny.onnx", tmp_path)
    return Path(shutil.copytree(written, tmp_path / "IJBC"))


def job(root: Path, *more: str) -> list[str]:
    return ["ijb", f"model={root.parent / 'tiny.onnx'}", f"data.root={root}", QUICK, *more]


def found(root: Path, task: str) -> dict:
    return json.loads((root.parent / f"ijbc_{task}.json").read_text())


def template_features(root: Path, flip: bool = True, detector_score: bool = True) -> dict[int, np.ndarray]:
    """Every template's unit vector, image by image in float64."""
    features = []
    for number in range(1, len(SMALL.images) + 1):
        places = ijb_layout.moved(ijb_layout.TEMPLATE_PX, ijb_layout.turned(number)).round(3)
        crop = align(decode_any((root / "loose_crop" / f"{number}.jpg").read_bytes()), places)
        views = [crop, crop[:, ::-1]] if flip else [crop]
        features.append(sum(TINY.reference((view.transpose(2, 0, 1)[None] - 127.5) / 128)[0] for view in views))
    own = {template: [i for i, image in enumerate(SMALL.images) if image.template == template]
           for template in {image.template for image in SMALL.images}}  # fmt: skip
    return {
        template: template_feature(
            np.array([features[i] for i in rows]),
            [SMALL.images[i].medium for i in rows],
            [SMALL.images[i].score if detector_score else 1.0 for i in rows],
        )
        for template, rows in own.items()
    }


@pytest.mark.parametrize("options", [{}, {"flip": False}, {"detector_score": False}])
def test_verification_is_that_of_loops(root: Path, options: dict[str, bool], capsys: pytest.CaptureFixture[str]):
    assert main(job(root, *(f"{name}={value}" for name, value in options.items()))) == 0
    templates = template_features(root, **options)
    scores = np.array([templates[a] @ templates[b] for a, b, _ in SMALL.pairs])
    same = np.array([bool(s) for *_, s in SMALL.pairs])
    written = found(root, "verify")
    assert written["tpr_at_fpr"]["0.1"] == pytest.approx(tpr_at_fpr(scores, same, 0.1))
    assert 0.2 < written["tpr_at_fpr"]["0.1"] < 1, "a figure that a mistake would move"
    fprs, tprs, _ = roc_curve(same, scores)
    assert written["tpr_near_fpr"]["0.01"] == pytest.approx(tprs[::-1][np.abs(fprs[::-1] - 0.01).argmin()])
    assert (written["genuine"], written["impostor"]) == (12, 60)
    low, high = written["intervals"]["0.1"]
    assert low <= written["tpr_at_fpr"]["0.1"] <= high
    printed = capsys.readouterr().out
    assert f"{written['tpr_at_fpr']['0.1']:.4f}" in printed
    assert "60 impostor pairs; at least 1000" in " ".join(printed.replace("|", " ").split())


def test_template_features_are_those_of_loops(root: Path):
    assert main(job(root)) == 0
    expected = template_features(root)
    with np.load(root.parent / "ijbc_templates.npz", allow_pickle=False) as state:
        assert int(state["done"]) == len(SMALL.images)
        for template, sums in zip(sorted(expected), state["sums"], strict=True):
            np.testing.assert_allclose(sums / np.linalg.norm(sums), expected[template], atol=1e-5)


def test_identification_is_that_of_loops_in_each_gallery(root: Path, capsys: pytest.CaptureFixture[str]):
    assert main(job(root, "task=identify")) == 0
    templates = template_features(root)
    whose = {image.template: image.person for image in SMALL.images}
    probes = np.array([templates[t] for t in SMALL.probes])
    written = found(root, "identify")
    for name, members in SMALL.galleries.items():
        gallery = np.array([templates[t] for t in members])
        slow = ranks_and_scores(gallery, [whose[t] for t in members], probes, [whose[t] for t in SMALL.probes])
        figures = written["galleries"][name]
        assert (figures["mated"], figures["strangers"], figures["identities"]) == (6, 12, 2)
        assert figures["cmc"]["1"] == pytest.approx(sum(rank == 1 for rank, _ in slow) / 6)
        assert figures["dir_at_far"]["0.1"] == pytest.approx(dir_at_far(slow, 1))
        assert figures["missing"]["dir_at_far.0.01"] == "12 strangers; at least 100 needed"
    mean = np.mean([written["galleries"][name]["dir_at_far"]["0.1"] for name in ("G1", "G2")])
    assert written["mean"]["dir_at_far"]["0.1"] == pytest.approx(mean)
    assert written["mean"]["cmc"]["5"] == 1.0
    printed = capsys.readouterr().out
    assert all(title in printed for title in ("ijbc 1:N, G1", "ijbc 1:N, G2", "ijbc 1:N, all"))


def test_features_are_kept_for_the_other_task_and_not_for_other_options(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    assert main(job(root)) == 0

    def embedded_again(*_: object) -> None:
        raise UserError("an image is looked at again")

    monkeypatch.setattr(LooseFaces, "crop", embedded_again)
    assert main(job(root, "task=identify")) == 0
    capsys.readouterr()
    assert main(job(root, "flip=false")) == 2
    told = capsys.readouterr()
    assert "ijbc_templates.npz was made with another network, set or options; the images are embedded again" in told.out
    assert told.err == "error: an image is looked at again\n"


def test_a_run_folder_is_a_model_and_out_another_place(root: Path, tmp_path: Path):
    run, out = tmp_path / "runs" / "mine", tmp_path / "figures"
    run.mkdir(parents=True)
    shutil.move(tmp_path / "tiny.onnx", run / "student.onnx")
    (run.parent / "latest").symlink_to("mine")
    assert main(["ijb", f"model={run.parent / 'latest'}", f"data.root={root}", QUICK, f"out={out}"]) == 0
    assert {path.name for path in out.iterdir()} == {"ijbc_templates.npz", "ijbc_verify.json"}
    assert {path.name for path in run.iterdir()} == {"student.onnx"}


@pytest.mark.parametrize("without", ["1N_probe_mixed.csv", "1N_gallery_G1.csv"])
def test_without_the_subjects_of_all_there_are_no_intervals(root: Path, without: str):
    (root / "meta" / f"ijbc_{without}").unlink()
    assert main(job(root)) == 0
    assert (found(root, "verify")["intervals"], found(root, "verify")["over"]) == ({}, "persons unknown")


def test_labels_that_contradict_the_subjects_are_said(root: Path, capsys: pytest.CaptureFixture[str]):
    pairs = root / "meta" / "ijbc_template_pair_label.txt"
    pairs.write_text(pairs.read_text().replace("101 20 0", "101 20 1"))
    assert main(job(root)) == 0
    assert "ijbc: 1 labels of pairs contradict the subjects of the 1:N tables; no intervals" in capsys.readouterr().out
    assert found(root, "verify")["intervals"] == {}


def test_mistakes_are_one_line_before_anything_is_embedded(root: Path, refused: Callable[..., str]):
    assert refused(*job(root, "batch_size=0")) == "batch_size is 0; expected 1 or more"
    assert refused(*job(root, "bootstrap=0")) == "resamples is 0; expected 1 or more"
    assert "task" in refused(*job(root, "task=guess"))
    assert refused("ijb", "model=a.onnx").startswith("data.root is missing: the folder of IJB-B or IJB-C")
    assert refused("ijb", "model=nowhere.onnx", f"data.root={root}") == "ONNX file nowhere.onnx does not exist"
    assert refused("ijb", f"model={root}", f"data.root={root}") == (
        f"{root} holds no student.onnx: expected an ONNX file, or the folder of a finished run"
    )
    for path in root.glob("meta/*gallery*"):
        path.unlink()
    assert refused(*job(root, "task=identify")) == (
        f"{root}/meta/ijbc_1N_gallery_*.csv: no such files; expected the galleries, G1 and G2 say"
    )
    pairs = root / "meta" / "ijbc_template_pair_label.txt"
    pairs.write_text("101 10 1\n101 9 0\n")
    assert refused(*job(root)) == f"{pairs}, line 2: names template 9; expected one that has an image"
    assert not (root.parent / "ijbc_templates.npz").exists()
    (root.parent / "ijbc_templates.npz").write_bytes(b"else")
    pairs.write_text("101 10 1\n101 20 0\n")
    assert refused(*job(root)).endswith("ijbc_templates.npz: holds no sums of templates; expected our own file: "
                                        "remove it to begin again")  # fmt: skip


@pytest.mark.slow
def test_real_faces_come_back_as_they_were_and_are_found(faces_root: Path, tmp_path: Path):
    """Turned photographs of forty people embed as the aligned ones do, and the reference network finds most of them."""
    faces = RecordSet(faces_root / "labelled")
    rows, counts = [], np.bincount(faces.labels)
    for person in np.flatnonzero(counts >= 4)[:40]:
        rows += np.flatnonzero(faces.labels == person)[:4].tolist()
    crops = [decode_any(faces.read(row)) for row in rows]
    images = [Image(n // 4, n // 4 * 10 + max(n % 4 - 1, 0), n, crop, 0.9) for n, crop in enumerate(crops)]
    gallery, probes = [p * 10 for p in range(20)], [p * 10 + k for p in range(40) for k in (1, 2)]
    pairs = [(g, p, int(g // 10 == p // 10)) for g in gallery for p in probes]
    root = ijb_layout.write_ijb(tmp_path / "IJBC", images, pairs, {"G1": gallery}, probes)
    network = OnnxNetwork(faces_root / "reference_teacher.onnx")
    loose = read_faces(find_ijb(root))
    back, before = (
        network.embed(torch.from_numpy(np.stack(some)).permute(0, 3, 1, 2)).numpy()
        for some in ([loose.crop(row) for row in range(24)], crops[:24])
    )
    cosines = (back * before).sum(1) / np.linalg.norm(back, axis=1) / np.linalg.norm(before, axis=1)
    assert cosines.min() > 0.9
    assert cosines.mean() > 0.97
    run = ["ijb", f"model={faces_root / 'reference_teacher.onnx'}", f"data.root={root}", f"out={tmp_path}", QUICK]
    assert main(run) == main([*run, "task=identify"]) == 0
    assert json.loads((tmp_path / "ijbc_verify.json").read_text())["tpr_at_fpr"]["0.01"] > 0.8
    figures = json.loads((tmp_path / "ijbc_identify.json").read_text())["galleries"]["G1"]
    assert figures["cmc"]["1"] > 0.85
    assert figures["dir_at_far"]["0.1"] > 0.6


@pytest.mark.parametrize("task", ["verify", "identify"])
def test_images_that_cannot_be_read_are_named_and_left_out(root: Path, task: str, capsys: pytest.CaptureFixture[str]):
    """One image costs nothing else; a template without any costs its pairs, or its searches."""
    lost = [1, 7, 8, 9]  # one of template 101, all of template 103
    for number in lost:
        (root / "loose_crop" / f"{number}.jpg").write_bytes(b"torn")
    assert main(job(root, f"task={task}")) == 0
    written = found(root, task)
    assert written["damaged_images"] == 4
    assert written["damaged"][0].startswith(f"{root}/loose_crop/1.jpg: is a text; expected JPEG")
    assert written["templates_left_out"] == 1
    if task == "verify":
        assert written["pairs_left_out"] == 18
        assert written["pairs"] == len(SMALL.pairs) - 18
    else:
        assert written["searches_left_out"] == 3, "in its gallery the probes of its person"
    assert "4 damaged images left out, and with them 1 templates and " in capsys.readouterr().out
    assert main(job(root, f"task={task}", "max_damaged=3")) == 2
    assert "number 4 of this run; max_damaged allows 3" in capsys.readouterr().err


def test_whole_sets_say_that_nothing_is_left_out(root: Path):
    assert main(job(root)) == 0
    written = found(root, "verify")
    assert (written["damaged_images"], written["damaged"], written["pairs_left_out"]) == (0, [], 0)
