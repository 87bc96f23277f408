"""Checkpoints: whole or absent, whatever happens while they are written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from distill.checkpoints import WholeFiles
from distill.types import UserError

FULL_DISK = """
import resource, signal, sys, torch
from distill.checkpoints import WholeFiles
from distill.types import UserError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    WholeFiles().save_checkpoint({"weights": torch.ones(300_000)}, sys.argv[1])
except UserError as error:
    print(error)
    sys.exit(2)
"""


def save(content: dict, path: Path) -> None:
    WholeFiles().save_checkpoint(content, path)


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


def test_a_later_one_takes_its_place_and_a_torn_one_of_a_killed_run_is_no_obstacle(tmp_path: Path):
    path = tmp_path / "last.ckpt"
    (tmp_path / "last.ckpt.partial").write_bytes(b"torn")
    save({"a": 1}, path)
    save({"a": 2}, path)
    assert torch.load(path, weights_only=True) == {"a": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


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
