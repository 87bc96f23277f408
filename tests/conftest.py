"""What every test may ask for."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch.onnx
from hydra._internal.hydra import Hydra

from distill.cli import main
from reference.remembered_exports import remembered
from reference.small_data import SMALL_STUDENT, SMALL_TEACHER, write_small_root
from reference.tiny_onnx import TinyOnnx

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The names of tests are the same in every process: pytest-xdist runs none where they are not."""
    for item in items:
        if re.search(r" at 0x[0-9a-f]+|frozenset\(", item.nodeid):
            raise pytest.UsageError(f"{item.nodeid[:200]} names an object; expected ids= with fixed names")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def traced_once() -> Iterator[None]:
    """The exporter traces each architecture once in a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", remembered(torch.onnx.export))
        yield


@pytest.fixture(scope="session", autouse=True)
def composed_once() -> Iterator[None]:
    """Hydra composes each configuration once: the first time is for ``hydra.mode`` alone, which no test sets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hydra, "get_mode", lambda self, config_name, overrides: None)
        yield


@pytest.fixture(scope="session")
def faces_root() -> Path:
    """A data root of real aligned faces: FACES_ROOT, else beside the repository; tests skip without one."""
    root = Path(os.environ.get("FACES_ROOT", ROOT.parent / "shared" / "data" / "faces"))
    if not (root / "lfw_dev.bin").is_file():
        pytest.skip(f"no data root at {root}; set FACES_ROOT")
    return root


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people, five pictures each, and 24 pairs of four other people."""
    return write_small_root(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TinyOnnx(width=6).write(tmp_path_factory.mktemp("teacher") / "teacher.onnx")


@pytest.fixture
def options(root: Path, teacher: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Overrides for a small student and a run of a few steps below ``tmp_path``; further ones win."""

    def make(*more: str) -> list[str]:
        return [
            *SMALL_STUDENT,
            "teacher=onnx",
            f"teacher.weights={teacher}",
            f"data.root={root}",
            f"run.root={tmp_path / 'runs'}",
            "trainer=smoke",
            "tracking=none",
            *more,
        ]

    return make


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a job that has to be refused with status 2 and one line, and returns that line."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 2
        told = capsys.readouterr().err.splitlines()
        assert [line for line in told if line.startswith("error: ")] == told[-1:], told
        assert not any("Traceback" in line for line in told), told
        return told[-1].removeprefix("error: ")

    return run


@pytest.fixture
def teach(root: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Arguments that teach a small network for a few steps: the training of every job, without an export."""

    def make(*more: str) -> list[str]:
        return [
            "teach",
            *SMALL_TEACHER,
            f"teacher.weights={tmp_path / 'taught' / 'weights.safetensors'}",
            f"data.root={root}",
            f"run.root={tmp_path / 'runs'}",
            "run.name=taught",
            "trainer=smoke",
            "tracking=none",
            *more,
        ]

    return make
