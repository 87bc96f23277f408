"""``teach``, and distilling from what it leaves: weights, a card that is true of them, and a classifier."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

from distill.cli import main
from distill.config.compose import conf_dir, load
from distill.data.recordio import RecordIOSet
from distill.data.synth.dataset import SynthFaces
from distill.files.hashing import sha256
from distill.losses.centres import described_centres
from distill.types import Preprocessing
from reference.recordio import payload, write_set
from teachers.card import TeacherCost, card_beside, read_card
from teachers.iresnet import IResNet
from teachers.teacher import load_teacher

Options = Callable[..., list[str]]
NETWORK = ["teacher=r50", "teacher.network.units=[1,1,1,1]", "teacher.network.embedding_dim=16"]
WIDTH, PEOPLE = 16, 6

MAPS = """
    name: maps
    terms:
      hint: {loss: {_target_: distill.losses.feature.MapHint, student_map: stage3, teacher_map: stage3}}
      attention:
        loss: {_target_: distill.losses.feature.AttentionTransfer, pairs: [[stage2, stage2], [stage4, stage4]]}
      frozen_centres: {weight: 0.1, loss: {_target_: distill.losses.angular.FrozenCentreMargin}}
"""


def teach(root: Path, place: Path, *more: str) -> list[str]:
    """The command that teaches a tiny IR-ResNet into ``place``."""
    data = [f"data.root={root}", f"run.root={place / 'runs'}"]
    settings = [*data, "trainer=smoke", "trainer.images=16", "tracking=none"]
    return ["teach", *NETWORK, f"teacher.weights={place / 'weights.safetensors'}", *settings, *more]


@pytest.fixture(scope="session")
def taught(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a tiny teacher that was taught for two steps."""
    place = tmp_path_factory.mktemp("taught")
    assert main(teach(root, place)) == 0
    return place / "weights.safetensors"


def distill_from(weights: Path, options: Options, tmp_path: Path) -> list[str]:
    """The command that distils this teacher's maps and class centres; the objective is an experiment of its own."""
    experiments = tmp_path / "conf" / "objective"
    experiments.mkdir(parents=True)
    (experiments / "maps.yaml").write_text(MAPS)
    student = [o for o in options() if not o.startswith("teacher")]
    teacher = [*NETWORK, f"teacher.weights={weights}", "teacher.check=false"]
    search = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    return ["distill", *student, *teacher, "objective=maps", "trainer.images=16", search]


def run_folder(tmp_path: Path) -> Path:
    return (tmp_path / "runs" / "latest").resolve()


@pytest.mark.slow
def test_weights_come_with_the_classifier_and_the_data_that_it_is_of(taught: Path, root: Path):
    tensors = load_file(taught)
    assert tensors["classifier.weight"].shape == (PEOPLE, WIDTH)
    with safe_open(taught, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["data_fingerprint"] == RecordIOSet(root).fingerprint()
    assert (taught.parent / "runs" / metadata["run"] / "metrics.json").exists()


@pytest.mark.slow
def test_the_card_is_true_of_the_weights(taught: Path, root: Path):
    beside = card_beside(taught)
    assert beside is not None
    card = read_card(beside)
    metrics = json.loads((taught.parent / "runs" / "latest" / "metrics.json").read_text())
    assert (card.name, card.sha256, card.embedding_dim, card.classes) == ("r50", sha256(taught), WIDTH, PEOPLE)
    assert card.data_fingerprint == RecordIOSet(root).fingerprint()
    checked = metrics["check"]
    learned = sum(p.numel() for p in IResNet([1, 1, 1, 1], embedding_dim=WIDTH).parameters())
    assert card.cost == TeacherCost(checked["macs"], checked["flops"], learned), "measured: it is no r50"
    assert card.score is not None
    assert (card.score.set, card.score.accuracy) == ("lfw_small", metrics["teacher"]["accuracy_mean"])
    assert card.training is not None
    wanted = {"objective": "margin", "image_steps": 16, "images": 30, "optimizer": "adamw", "seed": 1, "lr": 1e-3}
    assert wanted.items() <= card.training.items()
    assert yaml.safe_load(beside.read_text())["licence"].startswith("yours")


@pytest.mark.slow
def test_it_loads_again_through_its_card_and_says_what_was_measured(taught: Path, root: Path):
    network = IResNet(units=(1, 1, 1, 1), embedding_dim=WIDTH)
    teacher = load_teacher("r50", network, taught, data_fingerprint=RecordIOSet(root).fingerprint())
    assert teacher.card.sha256 == sha256(taught)
    assert teacher.classifier is not None
    assert load_teacher("r50", network, taught, data_fingerprint="other").classifier is None


@pytest.mark.slow
def test_the_same_command_says_that_it_is_taught(taught: Path, root: Path, capsys: pytest.CaptureFixture[str]):
    before = taught.stat().st_mtime_ns
    assert main(teach(root, taught.parent)) == 0
    assert f"this teacher is trained: {taught}" in capsys.readouterr().out
    assert taught.stat().st_mtime_ns == before


@pytest.mark.slow
def test_weights_that_something_else_has_replaced_are_written_again(taught: Path, root: Path):
    before = {k: v.clone() for k, v in load_file(taught).items()}  # they would vanish with the file under them
    taught.write_bytes(b"those of another run")
    assert main(teach(root, taught.parent)) == 0
    after = load_file(taught)
    assert all(torch.equal(after[k], v) for k, v in before.items()), "from the last checkpoint, without teaching anew"
    card = card_beside(taught)
    assert card is not None
    assert read_card(card).sha256 == sha256(taught)
    metrics = json.loads((taught.parent / "runs" / "latest" / "metrics.json").read_text())
    assert metrics["losses"]["loss"] > 0


# its ONNX file


@pytest.mark.slow
def test_the_onnx_file_computes_what_the_weights_do(taught: Path):
    network = IResNet(units=(1, 1, 1, 1), embedding_dim=WIDTH)
    weights, onnx = load_teacher("r50", network, taught), load_teacher("onnx", None, taught.with_name("teacher.onnx"))
    crops = torch.randint(0, 256, (3, 3, 112, 112), dtype=torch.uint8)
    torch.testing.assert_close(onnx.embed(crops), weights.embed(crops), rtol=1e-4, atol=1e-4)
    assert onnx.preprocessing == weights.preprocessing == Preprocessing()


@pytest.mark.slow
def test_the_onnx_file_has_proofs_and_a_card_of_its_own(taught: Path):
    onnx = taught.with_name("teacher.onnx")
    metrics = json.loads((taught.parent / "runs" / "latest" / "metrics.json").read_text())
    assert metrics["onnx_sha256"] == sha256(onnx)
    assert 0 < metrics["parity"]["max_relative"] < 1e-4
    checked = metrics["check"]
    assert (checked["protocol"], checked["verdict"]) == ("deepglint_large", "fail")
    assert checked["reasons"] == ["output 'embedding' is 1x16 for one image; expected 1x512"]
    assert json.loads((taught.parent / "runs" / "latest" / "check.json").read_text())["flops"] == checked["flops"]
    beside = card_beside(onnx)
    assert beside is not None
    own, weights = read_card(beside), read_card(taught.with_name("card.yaml"))
    assert (own.name, own.sha256, own.cost, own.score) == ("r50", sha256(onnx), weights.cost, weights.score)
    assert (own.classes, own.data_fingerprint) == (None, None), "the file has no classifier"


@pytest.mark.slow
def test_an_onnx_file_that_is_gone_or_another_is_written_again(taught: Path, root: Path, capsys):
    onnx = taught.with_name("teacher.onnx")
    before, trained = sha256(onnx), taught.stat().st_mtime_ns
    for spoil in (onnx.unlink, lambda: onnx.write_bytes(b"of another run")):
        spoil()
        assert main(teach(root, taught.parent)) == 0
        out = capsys.readouterr().out
        assert "this teacher is trained" in out
        assert "verdict   FAIL" in out
        assert f"ONNX      {onnx}" in out
        assert sha256(onnx) == before, "the same weights by the same exporter"
    assert taught.stat().st_mtime_ns == trained


@pytest.mark.slow
def test_an_export_that_fails_loses_nothing(taught: Path, root: Path, capsys):
    onnx = taught.with_name("teacher.onnx")
    onnx.unlink()
    strict = teach(root, taught.parent, "export.max_relative_difference=0")
    assert main(strict) == 2
    line = capsys.readouterr().err
    assert f"error: {taught} is trained, but not exported to ONNX: the exported file differs from PyTorch" in line
    assert not onnx.exists()
    assert read_card(taught.with_name("card.yaml")).sha256 == sha256(taught)
    assert main(teach(root, taught.parent)) == 0
    assert onnx.exists()


@pytest.mark.slow
def test_distilled_from_its_onnx_file(taught: Path, options: Options, tmp_path: Path):
    student = [o for o in options() if not o.startswith("teacher")]
    teacher = ["teacher=onnx", f"teacher.weights={taught.with_name('teacher.onnx')}", "teacher.check=false"]
    assert main(["distill", *student, *teacher, "trainer.images=16"]) == 0
    assert "trained here on recordio data of 6 people" in (run_folder(tmp_path) / "card.md").read_text()


@pytest.mark.slow
def test_distilled_live_with_maps_and_its_own_classifier(taught: Path, options: Options, tmp_path: Path):
    assert main(distill_from(taught, options, tmp_path)) == 0
    folder = run_folder(tmp_path)
    rows = [json.loads(line)["values"] for line in (folder / "series.jsonl").read_text().splitlines()]
    assert {"raw/hint", "raw/attention", "raw/frozen_centres"} <= rows[0].keys()
    assert not list((tmp_path / "runs" / ".cache").glob("centres-*")), "its classifier is of these very people"
    content = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert {key.split(".")[0] for key in content["state_dict"]} == {"student", "objective"}
    assert not any(key.startswith(("layer", "fc", "features")) for key in load_file(folder / "student.safetensors"))
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["teacher_tried"] is False
    assert "The teacher was not tried" in (folder / "report.html").read_text()
    assert "trained here on recordio data of 6 people" in (folder / "card.md").read_text()


@pytest.mark.slow
def test_distilled_on_other_people_it_gets_centres_that_are_means(
    taught: Path, root: Path, options: Options, tmp_path: Path
):
    faces = RecordIOSet(root)
    chosen = [k for k in range(len(faces)) if faces.labels[k] < 3]
    records = {k: payload(faces.read(k), float(faces.labels[k])) for k in chosen}
    other = write_set(tmp_path / "other", records, classes=3)
    command = distill_from(taught, options, tmp_path)
    assert main([*command, f"data.root={other}", f"data.pairs={root / 'lfw_small.bin'}"]) == 0
    (centres,) = (tmp_path / "runs" / ".cache").glob("centres-*")
    assert load_file(centres)["centres"].shape == (3, WIDTH)


def test_black_boxes_are_not_taught(root: Path, teacher: Path, tmp_path: Path, capsys):
    options = [f"teacher.weights={teacher}", f"data.root={root}", f"run.root={tmp_path}"]
    assert main(["teach", "teacher=onnx", *options]) == 2
    names = capsys.readouterr().err.partition("cannot be trained; expected one of ")[2].strip()
    choices = {path.stem for path in (conf_dir() / "teacher").glob("*.yaml")}
    assert set(names.split(", ")) == choices - {"none", "onnx"}


def test_weights_are_written_as_safetensors_alone(root: Path, tmp_path: Path, capsys):
    assert main(teach(root, tmp_path, "trainer.images=8", f"teacher.weights={tmp_path / 'a.pth'}")) == 2
    assert "expected a name ending in .safetensors" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_told_before_teaching(root: Path, tmp_path: Path, capsys):
    (tmp_path / "file").write_text("")
    assert main(teach(root, tmp_path, f"teacher.weights={tmp_path / 'file' / 'weights.safetensors'}")) == 2
    assert "cannot write" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_an_objective_that_needs_a_teacher_teaches_nobody(root: Path, tmp_path: Path, capsys):
    assert main(teach(root, tmp_path, "objective=feature")) == 2
    assert "needs a teacher and there is none" in capsys.readouterr().err


@pytest.mark.slow
def test_it_grows_from_a_shallower_network_with_its_class_centres(taught: Path, root: Path, tmp_path: Path):
    deeper = [f"init={taught}", "teacher.network.units=[1,1,3,1]", "trainer.optimizer.lr=1e-9"]
    assert main(teach(root, tmp_path, *deeper)) == 0
    before, after = load_file(taught), load_file(tmp_path / "weights.safetensors")
    for name in ("layer3.0.conv1.weight", "fc.weight", "classifier.weight"):
        torch.testing.assert_close(after[name], before[name], atol=1e-6, rtol=0)
    assert not after["layer3.2.bn3.weight"].abs().gt(1e-6).any()


def test_what_is_not_there_to_grow_from_is_told_before_faces_are_drawn(root: Path, tmp_path: Path, capsys):
    assert main(teach(root, tmp_path, "init=nowhere.safetensors")) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: init is nowhere.safetensors, which does not exist; expected weights to begin with")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_teacher_that_it_grows_from_is_taught_first(root: Path, tmp_path: Path, capsys, monkeypatch):
    tiny = [*NETWORK[1:], "trainer=smoke", "trainer.images=8", "trainer.optimizer.lr=1e-3"]
    monkeypatch.setattr("distill.jobs.teach.load", lambda job, overrides: load(job, [*overrides, *tiny]))
    init = tmp_path / "first" / "weights.safetensors"
    grown = [f"init={init}", "init_teacher=r18", "seed=2", "run.name=grown", "trainer.optimizer.lr=1e-9"]
    assert main(teach(root, tmp_path, *grown)) == 0
    assert f"{init} does not exist yet: teaching r18 first" in capsys.readouterr().out
    card = read_card(init.with_name("card.yaml"))
    assert card.training is not None
    assert (card.name, card.training["seed"], card.training["images"]) == ("r18", 2, 30)
    before, after = load_file(init), load_file(tmp_path / "weights.safetensors")
    torch.testing.assert_close(after["fc.weight"], before["fc.weight"], atol=1e-6, rtol=0)
    assert len([f for f in (tmp_path / "runs").iterdir() if (f / "metrics.json").exists() and not f.is_symlink()]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["teacher.network.embedding_dim=32"], "width 16; the network is built for 32"),
        (["teacher.network._target_=distill.students.mobilefacenet.MobileFaceNet", "+teacher.network.blocks=[1,1,1,1]"]
         + [f"~teacher.network.{name}" for name in ("units", "block", "se", "dropout", "eps")],
         "expected none: a MobileFaceNet cannot be grown"),
    ],
)  # fmt: skip
def test_what_cannot_be_grown_is_said(taught: Path, root: Path, tmp_path: Path, capsys, options: list[str], said: str):
    assert main(teach(root, tmp_path, f"init={taught}", *options)) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_synthetic_people_begin_at_centres_that_know_who_is_like_whom(tmp_path: Path):
    faces = SynthFaces(tmp_path / "faces", identities=8, pictures=2, pairs=40)
    traits = faces.traits()
    assert traits.shape[0] == 8
    data = ["data=synthfaces", f"data.root={tmp_path / 'faces'}", "data.reader.identities=8", "data.reader.pictures=2"]
    data += ["data.reader.pairs=40", f"data.pairs={tmp_path / 'faces' / 'synthfaces_dev.bin'}", "trainer.images=8"]
    wide = "teacher.network.embedding_dim=128"
    assert main(teach(tmp_path, tmp_path, *data, wide, "trainer.optimizer.lr=1e-9")) == 0
    centres = load_file(tmp_path / "weights.safetensors")["classifier.weight"]
    expected = described_centres(torch.from_numpy(traits), 128, 1.0, seed=1)
    unit = centres / centres.norm(dim=1, keepdim=True)
    torch.testing.assert_close(unit @ unit.T, expected @ expected.T, atol=1e-3, rtol=0)
