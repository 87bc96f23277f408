"""Two nights of drops end to end: frozen, seen by the teacher once, vetted, joined, and a student trained on them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from distill.cli import main
from distill.config.compose import load
from distill.config.service_jobs import VettingConf
from distill.data.augment import Augmentation
from distill.data.recordio import RecordIOSet
from distill.errors import UserError
from distill.nightly import drop_signals
from distill.nightly.drop_signals import DropSignals
from distill.nightly.freeze import freeze
from distill.nightly.frozen import FrozenSet, parts_of
from distill.nightly.manifest import MANIFEST, DataManifest, read_manifest
from distill.nightly.results import SignalsResult
from distill.nightly.vet import vet
from distill.nightly.vetting_result import Verdicts, read_verdicts, write_verdicts
from distill.runs.signal_lookup import Wanted, described_data
from distill.signals.manifest import read_manifest as read_store
from distill.signals.store import shard_path
from distill.types import UNLABELLED
from reference.drops import jpeg
from reference.recordio import payload, write_set
from reference.tiny_onnx import TinyOnnx


class Service:
    """What a nightly job does of a night's data, and the folders that it keeps."""

    def __init__(self, folder: Path, pairs: Path, *options: str) -> None:
        self.drops, self.signals, self.folder = folder / "drops", folder / "signals", folder
        self.options = [f"data.pairs={pairs}", f"data.root={folder}", "workers=0", *options]

    def put(self, drop: str, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            path = self.drops / drop / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def night(self, number: int) -> Path:
        return self.folder / "nights" / f"{number:04d}"

    def work(self, number: int, *options: str) -> tuple[DataManifest, Verdicts, SignalsResult]:
        """Freeze, signals and vetting of one night, after those before it."""
        night, last = self.night(number), self.night(number - 1)
        before = read_manifest(last) if number > 1 else None
        manifest = freeze(self.drops, before)
        night.mkdir(parents=True, exist_ok=True)
        (night / MANIFEST).write_text(manifest.to_json())
        signals = DropSignals(load("signals", [*self.options, *options]), self.signals)
        stores, told = signals.write(parts_of(manifest))
        earlier = read_verdicts(last, before) if before else None
        verdicts = vet(manifest, earlier, stores, VettingConf())
        write_verdicts(night, verdicts)
        signals.join(night, stores)
        return manifest, verdicts, told


@pytest.fixture
def service(tmp_path: Path, root: Path, teacher: Path) -> Service:
    made = Service(tmp_path / "nightly", root / "lfw_small.bin", "teacher=onnx", f"teacher.weights={teacher}")
    made.put("1", {f"p{person}/{k}.jpg": jpeg(person, k) for person in range(6) for k in range(5)})
    return made


def student(service: Service, options: Callable[..., list[str]], number: int) -> list[str]:
    """The command that trains a student of a night on stored signals."""
    night = service.night(number)
    data = ["data=frozen", f"data.root={night}", service.options[0], "data.augment.shift_px=0"]
    kept = [option for option in options() if not option.startswith("data.root=")]
    return ["distill", *kept, *data, f"signals={night / 'signals'}", f"run.name=night{number}"]


@pytest.mark.slow
def test_two_nights(service: Service, options: Callable[..., list[str]], tmp_path: Path, caplog):
    caplog.set_level("INFO")
    _, _, told = service.work(1)
    assert (told.images_new, told.images_kept) == (30, 0)
    assert main(student(service, options, 1)) == 0
    assert f"{service.night(1) / 'signals'}: stored outputs of onnx in place of its passes" in caplog.text
    before = {path: path.read_bytes() for path in sorted(service.signals.glob("1-*/*")) if path.is_file()}
    service.put("2", {"p1/new.jpg": jpeg(1, 50), "p9/1.jpg": jpeg(9, 1), "p9/2.jpg": jpeg(9, 2), "p9/3.jpg": b"torn"})
    (service.drops / "3").mkdir()
    manifest, verdicts, told = service.work(2)
    assert (told.images_new, told.images_kept) == (3, 30)
    assert {path: path.read_bytes() for path in before} == before, "what is known is not written again"
    assert manifest.classes["p9"] == 6
    assert [finding.kind for finding in verdicts.findings][:2] == ["empty_drop", "damaged"]
    assert main(student(service, options, 2)) == 0
    metrics = json.loads((tmp_path / "runs/night2/metrics.json").read_text())
    assert metrics["images"] == 33
    assert metrics["teacher"]["accuracy_mean"] == 1.0
    centres = load_file(service.night(2) / "signals/centres.safetensors")["centres"]
    assert centres.shape[0] == 7


@pytest.mark.slow
def test_a_student_of_drops_is_that_of_the_same_pictures_in_one_folder(
    service: Service, options: Callable[..., list[str]], tmp_path: Path, root: Path, teacher: Path
):
    """Freezing, joining and replaying change nothing: the same images in the same order give the same weights."""
    service.put("2", {"p1/new.jpg": jpeg(1, 50), "p5/new.jpg": jpeg(5, 50)})
    service.work(1)
    assert main(student(service, options, 1)) == 0
    whole, faces = tmp_path / "whole", FrozenSet(service.night(1))
    assert (faces.labels != UNLABELLED).all()
    write_set(whole, {k: payload(faces.read(k), float(faces.labels[k])) for k in range(len(faces))}, faces.classes)
    shutil.copy(root / "lfw_small.bin", whole)
    words = [f"data.root={whole}", f"out={tmp_path / 'store'}", "workers=0"]
    assert main(["signals", "teacher=onnx", f"teacher.weights={teacher}", *words]) == 0
    run = ["distill", *options(f"data.root={whole}", "data.augment.shift_px=0", f"signals={tmp_path / 'store'}")]
    assert main([*run, "run.name=whole"]) == 0
    one, two = (load_file(tmp_path / "runs" / name / "student.safetensors") for name in ("night1", "whole"))
    assert all(torch.equal(one[name], value) for name, value in two.items())


def test_a_killed_write_is_taken_up_and_a_damaged_shard_written_again(service: Service, monkeypatch, caplog):
    _, _, _ = service.work(1)
    (folder,) = service.signals.glob("1-*")
    whole = shard_path(folder, 0).read_bytes()
    for spoilt in (whole[:-9], None):
        if spoilt is None:
            shard_path(folder, 0).unlink()
        else:
            shard_path(folder, 0).write_bytes(spoilt)
        _, _, told = service.work(1)
        assert told.images_new == 30
        assert shard_path(folder, 0).read_bytes() == whole


def test_the_teacher_looks_at_nothing_but_what_is_new(service: Service, monkeypatch: pytest.MonkeyPatch):
    service.work(1)
    tried: list[str] = []
    monkeypatch.setattr(drop_signals, "try_out", lambda teacher, conf, pairs: tried.append(teacher.name))
    service.work(1)
    assert tried == []
    service.put("2", {"p1/new.jpg": jpeg(1, 50)})
    service.work(2)
    assert tried == ["onnx"]


def test_without_the_weights_stored_signals_serve_until_something_is_new(service: Service, teacher: Path, tmp_path):
    own = Path(shutil.copy(teacher, tmp_path / "own.onnx"))
    service.work(1, f"teacher.weights={own}")
    own.unlink()
    _, _, told = service.work(1, f"teacher.weights={own}")
    assert told.images_new == 0
    service.put("2", {"p1/new.jpg": jpeg(1, 50)})
    with pytest.raises(UserError, match=r"own\.onnx does not exist"):
        service.work(2, f"teacher.weights={own}")


def test_another_teacher_looks_at_everything_beside_the_old_ones_signals(service: Service, tmp_path: Path):
    service.work(1)
    other = TinyOnnx(width=5).write(tmp_path / "other.onnx")
    _, _, told = service.work(1, f"teacher.weights={other}")
    assert told.images_new == 30
    assert len(list(service.signals.glob("1-*"))) == 2


def test_a_night_of_fixed_views_is_one_of_the_same_augmentation(service: Service):
    _, _, told = service.work(1, "views=2", "data.augment.colour=0.5")
    assert told.images_new == 30
    manifest, faces = read_store(service.night(1) / "signals"), FrozenSet(service.night(1))
    teacher = {"name": "onnx", "network": None}
    for colour, same in ((0.5, True), (0.4, False)):
        wanted = Wanted(teacher, described_data(faces), Augmentation(colour=colour), 1)
        assert (wanted.difference(manifest) is None) == same


def test_a_night_that_is_not_vetted_is_refused_in_one_line(service: Service, options, refused):
    service.work(1)
    (service.night(1) / "vetting.json").unlink()
    assert "holds no vetting.json" in refused(*student(service, options, 1))


@pytest.mark.slow
def test_files_that_changed_after_freezing_stop_a_run_where_they_are_too_many(service: Service, options, refused):
    service.work(1)
    for k in range(5):
        (service.drops / f"1/p0/{k}.jpg").write_bytes(jpeg(7, k))
    line = refused(*student(service, options, 1), "data.max_damaged=2", "trainer.images=96")
    assert "is not the picture that was frozen" in line
    assert str(service.drops / "1/p0/") in line


@pytest.fixture(scope="module")
def people(faces_root: Path) -> list[list[bytes]]:
    """Four pictures each of 24 real people."""
    faces = RecordIOSet(faces_root / "labelled")
    able = np.flatnonzero(np.bincount(faces.labels) >= 4)[:24]
    return [[faces.read(row) for row in np.flatnonzero(faces.labels == person)[:4].tolist()] for person in able]


def test_what_is_wrong_with_real_drops_is_found(people, tmp_path: Path, root: Path, faces_root: Path):
    """A reference teacher looks at real people with every fault that a drop may have."""
    weights = f"teacher.weights={faces_root / 'reference_teacher.onnx'}"
    service = Service(tmp_path / "nightly", root / "lfw_small.bin", "teacher=onnx", weights, "teacher.check=false")
    service.put("1", {f"p{k:02}/{n}.jpg": album[n] for k, album in enumerate(people[:20]) for n in range(3)})
    _, first, _ = service.work(1)
    assert first.findings == []
    service.put("2", {f"p{k:02}/3.jpg": people[k][3] for k in range(12)})
    service.put("2", {f"p{k:02}/3.jpg": people[k + 1][3] for k in range(12, 18)})  # wrong labels
    service.put("2", {f"p20/{n}.jpg": people[20][n] for n in range(4)})  # somebody new
    service.put("2", {"p19 again/3.jpg": people[19][3]})  # somebody known under a second name
    service.put("2", {"p00/copy.jpg": people[0][0], "p01/copy.jpg": people[5][0], "p02/torn.jpg": people[2][3][:-500]})
    _, second, _ = service.work(2)
    found = {kind: {f.file for f in second.findings if f.kind == kind} for kind in {f.kind for f in second.findings}}
    assert found["damaged"] == {"p02/torn.jpg"}
    assert found["duplicate"] == {"p00/copy.jpg"}
    assert found["contradiction"] == {"p01/copy.jpg"}
    wrong = {f"p{k:02}/3.jpg" for k in range(12, 18)}
    assert len(found["doubtful_label"] & wrong) >= 5
    assert len(found["doubtful_label"] - wrong) <= 1
    assert found["split_person"] == {"p19 again"}
