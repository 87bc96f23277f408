"""What can go wrong while a run works: disk, permission, network, numbers, other processes. Nothing good is lost."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from distill.cli import main
from reference.tiny_onnx import TinyOnnx

Options = Callable[..., list[str]]
Refused = Callable[..., str]

EXPLODES = ("trainer.schedule.kind=multistep", "trainer.schedule.milestones=[0.5]", "trainer.schedule.gamma=1e33")


@contextmanager
def disk_full(after: Path, max_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond ``max_bytes`` from the moment that ``after`` exists."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ended = threading.Event()

    def watch() -> None:
        while not after.exists():
            if ended.wait(0.001):
                return
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, before[1]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def started(*arguments: str, until: Path, **environment: str) -> subprocess.Popen[str]:
    """A job in another process, running since the file ``until`` came."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
    job = subprocess.Popen(
        [sys.executable, "-m", "distill", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not until.exists():
        assert job.poll() is None, job.communicate()
        assert time.monotonic() < deadline, f"{until} did not come"
        time.sleep(0.02)
    return job


def test_a_file_where_a_folder_is_expected(options: Options, teach: Options, refused: Refused, tmp_path: Path):
    (tmp_path / "runs").write_text("not a folder")
    line = refused("distill", *options("run.name=x"))
    assert line.startswith(f"cannot write to the run folder {tmp_path / 'runs' / 'x'}: Not a directory")
    place = tmp_path / "runs" / "x" / "weights.safetensors"
    assert refused(*teach(f"teacher.weights={place}")).startswith(f"cannot write {place}: Not a directory")
    assert (tmp_path / "runs").read_text() == "not a folder"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_no_permission_to_write(refused: Refused, tmp_path: Path):
    model = TinyOnnx(width=6).write(tmp_path / "model.onnx")
    folder = os.open(tmp_path, os.O_RDONLY)
    os.chmod(tmp_path, 0o755)
    here = Path.cwd()
    os.chdir(tmp_path)
    os.seteuid(65534)  # the folders above are closed to nobody: all names are relative from here on
    try:
        line = refused("check", f"model={model.name}", "protocol=deepglint_light", "out=.")
    finally:
        os.seteuid(0)
        os.chdir(here)
        os.close(folder)
    assert line.startswith("cannot write check.json")
    assert "Permission denied" in line
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("job", ["check", "verify"])
def test_out_below_a_file(job: str, refused: Refused, teacher: Path, root: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    more = [f"pairs={root / 'lfw_small.bin'}"] if job == "verify" else []
    line = refused(job, f"model={teacher}", *more, f"out={tmp_path / 'file'}")
    assert line.startswith(f"cannot write {tmp_path / 'file' / job}.json")


@pytest.mark.slow
def test_disk_full_during_a_checkpoint(teach: Options, refused: Refused, tmp_path: Path):
    arguments = teach("trainer.images=48")
    last = tmp_path / "runs" / "taught" / "checkpoints" / "last.ckpt"
    with disk_full(last, 100_000):
        line = refused(*arguments)
    assert line.startswith(f"cannot write the checkpoint {last}: File too large")
    assert f"the last good checkpoint {last} is untouched" in line
    assert [p.name for p in last.parent.iterdir()] == ["last.ckpt"], "nothing half written is left"
    step = torch.load(last, weights_only=True)["global_step"]
    assert 0 < step < 6
    assert main(arguments) == 0, "the same command, with space again"
    assert torch.load(last, weights_only=True)["global_step"] == 6


@pytest.mark.slow
def test_disk_full_during_an_export(options: Options, refused: Refused, tmp_path: Path):
    arguments = ["distill", *options("run.name=full", "objective=feature")]
    run = tmp_path / "runs" / "full"
    run.mkdir(parents=True)
    (run / "student.onnx").write_bytes(b"of an earlier export")
    with disk_full(run / "student.safetensors", 60_000):
        line = refused(*arguments)
    assert line.startswith(f"cannot write {run / 'student.onnx'}")
    assert "File too large" in line
    assert [p.read_bytes() for p in run.glob("student.onnx*")] == [b"of an earlier export"]
    assert not (run / "metrics.json").exists(), "not finished"
    assert main(arguments) == 0, "the same command, with space again"
    assert (run / "student.onnx").stat().st_size > 60_000


def test_disk_full_from_the_start(teach: Options, refused: Refused, tmp_path: Path):
    with disk_full(tmp_path, 500):
        assert "config.yaml" in refused(*teach())


@pytest.mark.slow
def test_explosion_names_step_term_and_last_good_checkpoint(teach: Options, refused: Refused, tmp_path: Path):
    last = tmp_path / "runs" / "taught" / "checkpoints" / "last.ckpt"
    line = refused(*teach(*EXPLODES))
    assert line.startswith("training stopped at step 3: the loss term 'margin' is not finite")
    assert f"{last} (step 2)" in line
    assert torch.load(last, weights_only=True)["global_step"] == 2


def test_explosion_before_the_first_checkpoint(teach: Options, refused: Refused, tmp_path: Path):
    line = refused(*teach("trainer.optimizer.lr=1e30"))
    assert "at step 1" in line
    assert "none yet" in line
    assert not (tmp_path / "runs" / "taught" / "checkpoints").exists()


def test_weights_that_are_not_finite_replace_no_good_checkpoint(teach: Options, refused: Refused, tmp_path: Path):
    """The update after the last finite loss of an interval makes them infinite."""
    last = tmp_path / "runs" / "taught" / "checkpoints" / "last.ckpt"
    sgd = ("trainer.optimizer.name=sgd", "trainer.optimizer.lr=3e38", "trainer.gradient_clip=null")
    line = refused(*teach(*sgd, "trainer.checkpoint_every_steps=1"))
    assert line.startswith("training stopped at step 1: the weights student.")
    assert "are not finite; the last good checkpoint is none yet" in line
    assert not last.exists()


@pytest.mark.slow
def test_damaged_checkpoint(teach: Options, refused: Refused, tmp_path: Path):
    refused(*teach(*EXPLODES))
    last = tmp_path / "runs" / "taught" / "checkpoints" / "last.ckpt"
    whole = last.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no checkpoint"):
        last.write_bytes(damaged)
        line = refused(*teach(*EXPLODES))
        assert line.startswith((f"{last} is damaged or no checkpoint", f"{last} is not a complete checkpoint, but"))
        assert "delete it to start from scratch" in line
        assert last.read_bytes() == damaged
    torch.save({"a": 1}, last)
    assert "is no checkpoint of a run" in refused(*teach(*EXPLODES))


@pytest.mark.slow
def test_run_name_of_another_network(teach: Options, refused: Refused, tmp_path: Path):
    refused(*teach(*EXPLODES))
    line = refused(*teach(*EXPLODES, "teacher.network.embedding_dim=32"))
    config = tmp_path / "runs" / "taught" / "config.yaml"
    assert line.startswith(f"{config} has teacher.network.embedding_dim: 16, and this command 32")
    assert "give another run.name" in line


@pytest.mark.slow
def test_checkpoint_of_another_network(teach: Options, refused: Refused, tmp_path: Path):
    refused(*teach(*EXPLODES))
    (tmp_path / "runs" / "taught" / "config.yaml").unlink()  # as if the checkpoint had been copied from elsewhere
    line = refused(*teach(*EXPLODES, "teacher.network.embedding_dim=32"))
    assert "last.ckpt is of a run with another network or objective" in line
    assert "give run.name" in line


@pytest.mark.slow
def test_a_run_in_use_and_an_interrupted_one(teach: Options, refused: Refused, tmp_path: Path):
    arguments = teach("trainer.images=80000")
    run = tmp_path / "runs" / "taught"
    job = started(*arguments, until=run / "checkpoints" / "last.ckpt")
    line = refused(*arguments)
    assert line.startswith(f"the run {run} is locked by process {job.pid}; wait for it")
    job.send_signal(signal.SIGINT)
    _, told = job.communicate(timeout=120)
    assert job.returncode == 130, told
    assert told.splitlines()[-1] == "interrupted; run the same command again to resume"
    assert "Traceback" not in told


@pytest.mark.slow
def test_wandb_without_network_stops_nothing_and_keeps_no_key(teach: Options, tmp_path: Path):
    key = "5ec4e70f1edace" * 3
    (tmp_path / "home").mkdir()
    job = started(
        *teach("tracking=online"),
        until=tmp_path / "runs" / "taught" / "config.yaml",
        WANDB_BASE_URL="http://127.0.0.1:9",
        WANDB_API_KEY=key,
        HOME=str(tmp_path / "home"),
    )
    _, told = job.communicate()
    assert job.returncode == 0, told
    assert "W&B: stays offline" in told
    assert "Traceback" not in told
    assert (tmp_path / "runs" / "taught" / "metrics.json").exists()
    assert list((tmp_path / "runs" / "taught" / "wandb").glob("offline-run-*"))
    assert key not in told
    assert [path for path in tmp_path.rglob("*") if path.is_file() and key.encode() in path.read_bytes()] == []
