"""A data root of computed pictures, a small teacher, and options that make a real run short."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distill.cli import main
from distill.data.pairs import write_pairs
from reference.changed_inputs import place  # noqa: F401
from reference.patterns import picture
from reference.recordio import payload, write_set
from reference.tiny_onnx import TinyOnnx

PEOPLE, PICTURES = 6, 5

SMALL_TEACHER = (
    "teacher=r50",
    "teacher.network._target_=distill.students.mobilefacenet.MobileFaceNet",
    *(f"~teacher.network.{option}" for option in ("units", "block", "se", "dropout", "eps")),
    "+teacher.network.blocks=[1,1,1,1]",
    "teacher.network.embedding_dim=16",
)
"""A teacher with weights of 2 MB in place of 170."""


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people, five pictures each, and 24 pairs of four other people."""
    folder = tmp_path_factory.mktemp("data")
    images = {p * PICTURES + n: payload(picture(p, n), float(p)) for p in range(PEOPLE) for n in range(PICTURES)}
    write_set(folder, images, classes=PEOPLE)
    rows = [(100 + k % 4, 100 + (k % 4 if k % 2 else (k + 1) % 4), k) for k in range(24)]
    encoded = [image for a, b, k in rows for image in (picture(a, 2 * k), picture(b, 2 * k + 1))]
    write_pairs(folder / "lfw_small.bin", encoded, [a == b for a, b, _ in rows])
    return folder


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TinyOnnx(width=6).write(tmp_path_factory.mktemp("teacher") / "teacher.onnx")


@pytest.fixture
def options(root: Path, teacher: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Overrides for a small student and a run of a few steps below ``tmp_path``; further ones win."""

    def make(*more: str) -> list[str]:
        small = ["widths=[8,8,8,8]", "units=[1,1,1]", "last_channels=16"]
        return [
            *(f"student.network.{option}" for option in small),
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
