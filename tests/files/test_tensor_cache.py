"""Tensors kept between runs: made once, bound to what they were made from, never in the way."""

from __future__ import annotations

import logging
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from distill.files.tensor_cache import cached


class Maker:
    """Makes a different tensor at each call."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Tensor:
        self.calls += 1
        return torch.full((2, 3), float(self.calls)).T  # not contiguous, as embeddings may be


def test_made_once_for_the_same_files(tmp_path: Path):
    maker = Maker()
    first = cached(tmp_path / "a" / "b", "centres", ("teacher", "data"), maker)
    again = cached(tmp_path / "a" / "b", "centres", ("teacher", "data"), maker)
    assert maker.calls == 1
    assert torch.equal(first, again)
    assert first.shape == (3, 2)


@pytest.mark.parametrize(
    ("kind", "made_from"),
    [("embeddings", ("t", "d")), ("centres", ("t", "e")), ("centres", ("td",)), ("centres", ("d", "t"))],
)
def test_made_anew_for_others(tmp_path: Path, kind: str, made_from: tuple[str, ...]):
    maker = Maker()
    cached(tmp_path, "centres", ("t", "d"), maker)
    assert float(cached(tmp_path, kind, made_from, maker).max()) == 2.0


@pytest.mark.parametrize("content", [b"", b"torn", b"\x02\0\0\0\0\0\0\0{}"])
def test_a_damaged_file_is_made_again(tmp_path: Path, content: bytes):
    maker = Maker()
    cached(tmp_path, "centres", ("t",), maker)
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert float(cached(tmp_path, "centres", ("t",), maker).max()) == 2.0
    assert float(cached(tmp_path, "centres", ("t",), maker).max()) == 2.0
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_a_folder_that_cannot_be_written_costs_time_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        assert cached(tmp_path / "file", "centres", ("t",), Maker()).shape == (3, 2)
    assert "cannot be written" in caplog.text


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_torn(tmp_path: Path):
    script = (
        "import sys, torch\nfrom pathlib import Path\nfrom distill.files.tensor_cache import cached\n"
        "print(cached(Path(sys.argv[1]), 'centres', ('t',), lambda: torch.ones(1000, 10)).sum().item())\n"
    )
    job = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, preexec_fn=small_files
    )
    assert job.stdout == "10000.0\n", job.stderr
    assert "the next run will compute it again" in job.stderr
    assert not list(tmp_path.iterdir())


def small_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
