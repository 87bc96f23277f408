"""The files for schedulers, and an installation whose Python prints what it is asked to run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.config.compose import load
from distill.config.service_jobs import NightlyConf


@pytest.fixture(scope="session")
def deploy(repository: Path) -> Path:
    return repository / "deploy"


@pytest.fixture
def installed(deploy: Path, tmp_path: Path) -> Callable[[int], Path]:
    """Makes a folder like /opt/face-distill, whose Python prints its words, one a line, and ends with a status."""

    def make(status: int) -> Path:
        root = tmp_path / "face-distill"
        (root / "deploy").mkdir(parents=True)
        (root / ".venv/bin").mkdir(parents=True)
        shutil.copy(deploy / "night.sh", root / "deploy")
        python = root / ".venv/bin/python"
        python.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@"\nexit {status}\n')
        python.chmod(0o755)
        return root

    return make


@pytest.fixture
def is_a_night() -> Callable[[list[str]], None]:
    """Asserts that words are the options of Python for a night that can be composed."""

    def check(words: list[str]) -> None:
        assert words[:3] == ["-m", "distill", "nightly"]
        assert {word.partition("=")[0] for word in words[3:]} == {"drops", "root"}
        assert isinstance(load("nightly", words[3:]), NightlyConf)

    return check
