"""Checkpoints: whole or absent, whatever happens while they are written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from distill.errors import UserError
from distill.training.checkpoints import AtomicCheckpointIO, Checkpoints
from distill.training.module import Distiller
from reference.disk_steps import DiskSteps

FULL_DISK = """
import resource, signal, sys, torch
from distill.training.checkpoints import AtomicCheckpointIO
from distill.types import UserError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    AtomicCheckpointIO().save_checkpoint({"weights": torch.ones(300_000)}, sys.argv[1])
except UserError as error:
    print(error)
    sys.exit(2)
"""


def save(content: dict, path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint(content, path)


def on_a_full_disk(path: Path, max_bytes: int) -> str:
    job = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path), str(max_bytes)], capture_output=True, text=True, check=False
    )
    assert job.returncode == 2, job.stderr
    assert "Traceback" not in job.stderr
    return job.stdout


def test_written_whole_into_a_new_folder(tmp_path: Path):
    path = tmp_path / "checkpoints" / "last.ckpt"
    save({"a": torch.arange(3)}, path)
    assert torch.equal(torch.load(path, weights_only=True)["a"], torch.arange(3))
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_is_on_the_disk_before_its_name_and_both_are_when_it_is_told_of(tmp_path: Path, monkeypatch):
    steps, path = DiskSteps(monkeypatch), tmp_path / "checkpoints" / "last.ckpt"
    for number in range(2):
        save({"a": torch.full((3,), number)}, path)
        steps.require_name(path, after=steps.require_contents_before_name(path))
        steps.all.clear()


def test_an_interval_ends_with_a_checkpoint_that_the_module_knows_of(tmp_path: Path):
    path, told = tmp_path / "last.ckpt", []
    module: Any = Distiller.__new__(Distiller)
    torch.nn.Module.__init__(module)
    module.layer = torch.nn.Linear(2, 2)
    module.last_checkpoint = "none yet"
    trainer: Any = SimpleNamespace(
        global_step=7, save_checkpoint=lambda path: told.append((path, module.last_checkpoint))
    )
    Checkpoints(path).on_train_epoch_end(trainer, module)
    assert told == [(path, "none yet")], "it is told of when it is there"
    assert module.last_checkpoint == f"{path} (step 7)"
    module.layer.weight.data[0, 0] = float("nan")
    with pytest.raises(UserError, match=r"step 7: the weights layer\.weight are not finite.*last\.ckpt \(step 7\)"):
        Checkpoints(path).on_train_epoch_end(trainer, module)
    assert len(told) == 1


def test_a_run_that_goes_on_knows_its_checkpoint_from_the_start(tmp_path: Path):
    module: Any = Distiller.__new__(Distiller)
    torch.nn.Module.__init__(module)
    module.last_checkpoint = "none yet"
    path, trainer = tmp_path / "last.ckpt", SimpleNamespace()
    Checkpoints(path).on_fit_start(trainer, module)  # pyright: ignore[reportArgumentType]
    assert module.last_checkpoint == "none yet"
    path.touch()
    Checkpoints(path).on_fit_start(trainer, module)  # pyright: ignore[reportArgumentType]
    assert module.last_checkpoint == str(path)


def test_a_later_one_takes_its_place_and_a_torn_one_of_a_killed_run_is_no_obstacle(tmp_path: Path):
    path = tmp_path / "last.ckpt"
    (tmp_path / "last.ckpt.partial").write_bytes(b"torn")
    save({"a": 1}, path)
    save({"a": 2}, path)
    assert torch.load(path, weights_only=True) == {"a": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.slow
@pytest.mark.parametrize("max_bytes", [10, 500_000])
def test_a_full_disk_leaves_the_last_good_one(tmp_path: Path, max_bytes: int):
    path = tmp_path / "last.ckpt"
    save({"a": 1}, path)
    said = on_a_full_disk(path, max_bytes)
    assert said.startswith(f"cannot write the checkpoint {path}: ")
    assert "the last good checkpoint" in said
    assert "same command again" in said
    assert said.count("\n") == 1
    assert torch.load(path, weights_only=True) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.slow
def test_a_full_disk_at_the_first_one_says_that_there_is_none(tmp_path: Path):
    assert "there is no earlier one" in on_a_full_disk(tmp_path / "last.ckpt", 500_000)
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_no_folder(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the checkpoint"):
        save({}, tmp_path / "file" / "last.ckpt")


class Unserialisable:
    """Fails for a reason of its own, as a bug would."""

    def __reduce__(self) -> str:
        raise RuntimeError("a bug, not the disk")


def test_other_errors_are_not_taken_for_the_disk(tmp_path: Path):
    path = tmp_path / "last.ckpt"
    save({"a": 1}, path)
    with pytest.raises(RuntimeError, match="a bug, not the disk"):
        save({"a": Unserialisable()}, path)
    assert torch.load(path, weights_only=True) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]
