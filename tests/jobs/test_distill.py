"""The main job on real, small runs: what it leaves behind, what it says, and what it does when it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import load_file

from distill.cli import main

Options = Callable[..., list[str]]


def latest(tmp_path: Path) -> Path:
    return (tmp_path / "runs" / "latest").resolve()


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def in_process(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "distill", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_run_leaves_everything_and_is_found_again(options: Options, tmp_path: Path, capsys: pytest.CaptureFixture):
    assert main(["distill", *options()]) == 0
    printed = capsys.readouterr().out
    folder = latest(tmp_path)
    for name in ("student.onnx", "report.html", "card.md", "config.yaml", "metrics.json", "check.json"):
        assert (folder / name).stat().st_size > 0, name
    assert (folder / "checkpoints" / "last.ckpt").exists()
    found = metrics(folder)
    assert found["verdict"] == "pass"
    assert "verdict   PASS" in printed
    assert found["teacher"]["accuracy_mean"] == 1.0
    assert found["parity"]["max_relative"] < 1e-4
    assert {p.key for p in onnx.load(folder / "student.onnx").metadata_props} >= {"preprocessing", "weights_sha256"}
    assert "http" not in (folder / "report.html").read_text().replace("http://www.w3.org", "")
    before = (folder / "student.onnx").read_bytes()
    assert main(["distill", *options()]) == 0
    assert "this run is finished" in capsys.readouterr().out
    assert (folder / "student.onnx").read_bytes() == before


@pytest.mark.slow
def test_every_family_trains_together_with_transfer_images(options: Options, root: Path, tmp_path: Path):
    assert main(["distill", *options(f"data.transfer=[{root}]", "objective=default")]) == 0
    rows = [json.loads(line) for line in (latest(tmp_path) / "series.jsonl").read_text().splitlines()]
    first = rows[0]["values"]
    assert {"raw/embedding", "raw/classes", "weighted/frozen_centres", "lr"} <= first.keys()
    assert first["loss"] == pytest.approx(sum(v for k, v in first.items() if k.startswith("weighted/")), rel=1e-5)


@pytest.mark.slow
def test_recursive_distillation_starts_from_the_run_before(options: Options, tmp_path: Path):
    assert main(["distill", *options()]) == 0
    first = latest(tmp_path)
    assert main(["distill", *options(f"student.init={first}", "trainer.optimizer.lr=1e-12")]) == 0
    second = latest(tmp_path)
    assert second != first
    a, b = (load_file(folder / "student.safetensors")["stem.0.weight"] for folder in (first, second))
    assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.slow
def test_a_student_over_the_limit_is_told_at_once_and_fails(options: Options, tmp_path: Path, capsys):
    assert main(["distill", *options("student.network.embedding_dim=64")]) == 1
    assert "will not pass deepglint_light" in capsys.readouterr().err
    assert metrics(latest(tmp_path))["verdict"] == "fail"
    assert (latest(tmp_path) / "student.onnx").exists(), "a failed verdict loses nothing"


@pytest.mark.slow
def test_sweep_gives_one_folder_for_each_job(options: Options, tmp_path: Path):
    assert main(["distill", *options("trainer.images=8", "seed=1,2"), "-m"]) == 0
    assert len([p for p in (tmp_path / "runs").glob("vargnet-onnx-*") if (p / "student.onnx").exists()]) == 2


@pytest.mark.slow
def test_killed_anywhere_it_ends_with_the_same_weights(options: Options, tmp_path: Path):
    settings = ["trainer.images=96", "trainer.checkpoint_every_steps=2", "trainer.workers=1", "trainer.ema_decay=0.5"]
    assert main(["distill", *options(*settings)]) == 0
    undisturbed = load_file(latest(tmp_path) / "student.safetensors")
    disturbed = options(*settings, f"run.root={tmp_path / 'killed'}")
    for checkpoints in (1, 2):
        job = in_process("distill", *disturbed)
        wait_for_checkpoints(tmp_path / "killed", checkpoints)
        job.send_signal(signal.SIGKILL)
        job.communicate()
    job = in_process("distill", *disturbed)
    out, err = job.communicate()
    assert job.returncode == 0, err
    assert "resumes at step" in out
    folder = (tmp_path / "killed" / "latest").resolve()
    resumed = load_file(folder / "student.safetensors")
    assert resumed.keys() == undisturbed.keys()
    assert all(torch.equal(resumed[k], v) for k, v in undisturbed.items())
    same = [line_values(f / "series.jsonl") for f in (folder, latest(tmp_path))]
    assert same[0] == same[1]


@pytest.mark.slow
def test_a_reader_that_is_killed_ends_the_run_in_one_line_and_loses_nothing(options: Options, tmp_path: Path):
    job = in_process("distill", *options("trainer.images=20000", "trainer.workers=1"))
    wait_for_checkpoints(tmp_path / "runs", 1)
    for pid in Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split():
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(int(pid), signal.SIGKILL)
    _, err = job.communicate(timeout=60)
    assert job.returncode == 2
    assert "error: a process that reads faces was killed" in err
    assert "Traceback" not in err
    assert list((tmp_path / "runs").glob("*/checkpoints/last.ckpt"))


def wait_for_checkpoints(root: Path, count: int) -> None:
    """Until the checkpoint of the only run below ``root`` has been written ``count`` more times."""
    seen: set[int] = set()
    deadline = time.monotonic() + 120
    while len(seen) < count:
        assert time.monotonic() < deadline, "no checkpoint came"
        for path in root.glob("*/checkpoints/last.ckpt"):
            seen.add(path.stat().st_mtime_ns)
        time.sleep(0.02)


def line_values(path: Path) -> list[tuple[int, float]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [(row["step"], row["values"]["loss"]) for row in rows if "loss" in row["values"]]
