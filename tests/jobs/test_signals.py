"""Signals end to end: written, found, refused by name, repaired, and as good as the live teacher."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from distill.cli import main
from distill.data.augment import Augmentation
from distill.data.recordio import RecordIOSet
from distill.runs import signal_lookup as stored
from distill.runs.signal_lookup import Wanted, find_folder
from distill.signals.manifest import read_manifest
from distill.signals.store import open_shard, shard_path
from reference.tiny_onnx import TinyOnnx

Options = Callable[..., list[str]]
MIRROR = "data.augment.shift_px=0"


@pytest.fixture
def store(root: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Stores the signals of the small teacher where ``signals=auto`` looks, and gives their folder."""
    monkeypatch.setattr(stored, "ROOT", tmp_path / "signals")

    def make(*more: str) -> Path:
        folder = tmp_path / "signals" / "mine"
        assert main(["signals", *arguments(root, teacher, folder), *more]) == 0
        return folder

    return make


def arguments(root: Path, teacher: Path, folder: Path) -> list[str]:
    return ["teacher=onnx", f"teacher.weights={teacher}", f"data.root={root}", f"out={folder}", "workers=0"]


def losses(tmp_path: Path) -> list[float]:
    lines = ((tmp_path / "runs" / "latest").resolve() / "series.jsonl").read_text().splitlines()
    return [row["values"]["loss"] for row in map(json.loads, lines) if "loss" in row["values"]]


@pytest.mark.slow
def test_a_run_from_signals_is_the_run_with_the_live_teacher(store, options: Options, tmp_path: Path, caplog):
    folder = store()
    assert "signals" in {p.name for p in tmp_path.iterdir()}
    caplog.set_level("INFO")
    assert main(["distill", *options(MIRROR, "signals=live")]) == 0
    live, weights = losses(tmp_path), load_file(tmp_path / "runs/latest/student.safetensors")
    assert main(["distill", *options(MIRROR)]) == 0
    assert f"{folder}: stored outputs of onnx in place of its passes" in caplog.text
    assert losses(tmp_path) == pytest.approx(live, rel=1e-3)
    found = load_file(tmp_path / "runs/latest/student.safetensors")
    assert all((found[name] - value).abs().max() < 0.02 for name, value in weights.items())
    metrics = json.loads((tmp_path / "runs/latest/metrics.json").read_text())
    assert metrics["teacher"]["accuracy_mean"] == 1.0


@pytest.mark.slow
def test_fixed_views_with_the_runs_seed_are_the_live_run(store, options: Options, tmp_path: Path):
    augment = ["data.augment.shift_px=3", "data.augment.colour=0.5", "objective=feature"]  # centres are over views
    store("views=9", *augment[:2])
    assert main(["distill", *options(*augment, "signals=live")]) == 0
    live = losses(tmp_path)
    assert main(["distill", *options(*augment)]) == 0
    assert losses(tmp_path) == pytest.approx(live, rel=1e-3)


@pytest.mark.slow
def test_a_flip_sum_store_is_used_and_takes_half_the_space(store, options: Options, tmp_path: Path, caplog):
    sizes = []
    for more in ([], ["flip_sum=true"]):
        folder = store(*more)
        sizes.append(np.prod(open_shard(folder, read_manifest(folder), 0)["embedding"].shape))
        kept = folder.rename(tmp_path / f"kept{len(sizes)}")
    assert sizes[0] == 2 * sizes[1]
    summed = kept.rename(folder)
    caplog.set_level("INFO")
    assert main(["distill", *options(MIRROR)]) == 0
    assert f"{summed}: stored outputs of onnx in place of its passes" in caplog.text


@pytest.mark.slow
def test_what_does_not_match_runs_live_and_says_why(store, options: Options, caplog):
    folder = store()
    caplog.set_level("INFO")
    assert main(["distill", *options("data.augment.shift_px=2")]) == 0
    assert f"those in {folder} do not match: data.augment.shift_px is 2" in caplog.text
    assert "the teacher runs live" in caplog.text


def test_a_named_store_that_does_not_match_is_refused(store, options: Options, refused, root: Path):
    folder = store()
    for change, told in (
        ("data.augment.shift_px=2", "data.augment.shift_px is 2"),
        (f"data.transfer=[{root}]", "data.images is 30 there and 60 here"),
    ):
        line = refused("distill", *options(MIRROR, f"signals={folder}"), change)
        assert line.startswith(f"the signals in {folder} are not those of this run: {told}")


def test_another_teacher_is_refused(store, options: Options, refused, tmp_path: Path, root: Path):
    folder = store()
    other = TinyOnnx(width=5).write(tmp_path / "other.onnx")
    line = refused("distill", *options(MIRROR, f"signals={folder}", f"teacher.weights={other}"))
    assert "teacher.sha256 is" in line
    line = refused("signals", *arguments(root, other, folder))
    assert line.startswith(f"{folder} holds the signals of another run: ")
    assert line.endswith("give another folder with out=DIR")


def test_a_folder_that_is_no_store_is_refused(options: Options, refused, tmp_path: Path):
    assert "holds no manifest.json" in refused("distill", *options(f"signals={tmp_path}"))


@pytest.mark.slow
def test_damage_stops_a_run_and_the_same_command_repairs_it(store, options: Options, refused, caplog):
    folder = store()
    path = shard_path(folder, 0)
    whole = path.read_bytes()
    for spoilt in (whole[:-9], whole[:-1] + bytes([whole[-1] ^ 1]), None):
        if spoilt is None:
            path.unlink()
        else:
            path.write_bytes(spoilt)
        line = refused("distill", *options(MIRROR))
        assert line.startswith(f"{path}: ")
        assert "run `make signals` again" in line
        caplog.clear()
        store()
        assert spoilt is None or f"{path}: " in caplog.text
        assert path.read_bytes() == whole
    (folder / "centres.safetensors").write_bytes(b"torn")
    assert str(folder / "centres.safetensors") in refused("distill", *options(MIRROR))
    store()
    assert main(["distill", *options(MIRROR)]) == 0


@pytest.mark.slow
def test_full_maps_need_the_live_teacher(store, options: Options, refused, root: Path, tmp_path: Path, teach, caplog):
    caplog.set_level("INFO")
    assert main(teach()) == 0
    weights = next(word for word in teach() if word.startswith("teacher.weights="))
    small = [word for word in teach() if "teacher" in word and not word.startswith("teacher.weights")]
    folder = tmp_path / "signals" / "maps"
    data = [f"data.root={root}", f"out={folder}", "workers=0", "maps=[stage4]"]
    assert main(["signals", *small, weights, *data, "teacher.check=false"]) == 0
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    for name, loss in (
        ("hint", "MapHint, student_map: stage4, teacher_map: stage4"),
        ("attend3", "AttentionTransfer, pairs: [[stage3, stage3]]"),
        ("attend4", "AttentionTransfer, pairs: [[stage4, stage4]]"),
    ):
        terms = f"{{{name}: {{loss: {{_target_: distill.losses.feature.{loss}}}}}}}"
        path = tmp_path / "conf" / "experiment" / f"{name}.yaml"
        path.write_text(f"# @package _global_\nobjective: {{terms: {terms}}}\n")
    hint, attend3, attend4 = (f"experiment={name}" for name in ("hint", "attend3", "attend4"))
    words = [word for word in options(MIRROR) if "teacher" not in word] + [*small, weights, "teacher.check=false"]
    run = ["--config-dir", str(tmp_path / "conf"), *words]
    assert main(["distill", *run, attend4]) == 0
    assert "in place of its passes" in caplog.text
    caplog.clear()
    assert main(["distill", *run, hint]) == 0
    assert "term hint reads all channels of stage4" in caplog.text
    assert "the live teacher is used" in caplog.text
    caplog.clear()
    assert main(["distill", *run, attend3]) == 0
    assert "reads the attention of stage3" in caplog.text
    shutil.rmtree(tmp_path / "taught")
    assert main(["distill", *run, attend4, "run.name=without"]) == 0  # signals alone are enough
    assert "the weights of the live teacher are not here" in refused("distill", *run, hint, "run.name=hint")


def test_options_that_mean_nothing_are_refused(root: Path, teacher: Path, tmp_path: Path, refused):
    base = ["signals", *arguments(root, teacher, tmp_path / "s")]
    assert "batch_size is 0" in refused(*base, "batch_images=0")
    assert "views is -1" in refused(*base, "views=-1")
    assert "expected no views=2" in refused(*base, "views=2", "flip_sum=true")
    assert "expected no maps=['stage4']" in refused(*base, "maps=[stage4]", "flip_sum=true")
    assert "has no map 'stage9'; it has none at all" in refused(*base, "maps=[stage9]")
    assert "nothing to store" in refused(*[w for w in base if "teacher" not in w], "teacher=none")


@pytest.mark.slow
def test_a_store_that_nobody_asked_for_may_be_broken(store, options: Options, tmp_path: Path):
    store()
    broken = tmp_path / "signals" / "a-broken-one"
    broken.mkdir()
    (broken / "manifest.json").write_text("{")
    assert main(["distill", *options(MIRROR)]) == 0


def test_without_weights_a_teacher_is_known_by_its_name(store, root: Path):
    manifest = read_manifest(folder := store())
    data = dict(manifest.data)
    wanted = Wanted({"name": "onnx", "network": None}, data, Augmentation(shift_px=0), 1)
    assert find_folder("auto", wanted) == (folder, "")
    wanted = Wanted({"name": "r152", "network": None}, data, Augmentation(shift_px=0), 1)
    assert find_folder("auto", wanted)[0] is None
    assert data["fingerprint"] == RecordIOSet(root).fingerprint()


@pytest.mark.slow
def test_killed_and_helped_jobs_leave_the_same_store(root: Path, teacher: Path, tmp_path: Path):
    """Two processes at once, one of them killed, then one more: the bytes are those of an undisturbed run."""
    big = tmp_path / "big"
    big.mkdir()
    for name in ("train.rec", "train.idx", "lfw_small.bin"):
        shutil.copy(root / name, big)
    lines = (big / "train.idx").read_text().splitlines()
    offsets = [line.split("\t")[1] for line in lines]
    (big / "train.idx").write_text("".join(f"{k}\t{offsets[k % 30]}\n" for k in range(2500)))
    (big / "property").write_text("6,112,112")
    command = [sys.executable, "-m", "distill", "signals"]
    subprocess.run([*command, *arguments(big, teacher, tmp_path / "a")], check=True, capture_output=True)
    pair = [subprocess.Popen([*command, *arguments(big, teacher, tmp_path / "b")]) for _ in range(2)]
    deadline = time.monotonic() + 120
    while not list((tmp_path / "b").glob("shard-*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.02)
    pair[0].send_signal(signal.SIGKILL)
    assert pair[1].wait() == 0
    pair[0].wait()
    subprocess.run([*command, *arguments(big, teacher, tmp_path / "b")], check=True, capture_output=True)
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert len([name for name in names if name.startswith("shard-")]) == 3
    assert {p.name for p in (tmp_path / "b").iterdir() if "partial" not in p.name} == names
    for name in names - {"manifest.json"}:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_a_teacher_that_is_nowhere_stops_the_run_before_any_data_are_made(tmp_path: Path, refused):
    run = ["distill", "teacher=r50", "data=synthfaces", f"data.root={tmp_path / 'faces'}", "tracking=none"]
    for signals in ("auto", "live"):
        line = refused(*run, f"signals={signals}", f"teacher.weights={tmp_path / 'no.safetensors'}")
        assert line.startswith(f"teacher r50 has no weights at {tmp_path / 'no.safetensors'}")
    assert not (tmp_path / "faces").exists()
