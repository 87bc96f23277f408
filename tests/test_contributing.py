"""``docs/contributing.md``, followed literally in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

BLOCK = re.compile(r"^```(\w+)(?: ([\w/.]+))?(?: after=\"([^\n]*)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPES = ("loss", "student", "teacher", "data format", "stage")
CHECK = """
import io, tarfile
from pathlib import Path
import cv2, numpy as np, torch
from distill.config.build import build
from distill.config.compose import load
from distill.nightly.records import STAGES
from distill.nightly.stages.plan import stages
from distill.runs.assemble import build_objective
from distill.types import LossDims, LossInputs, Output

sizes = LossDims(student_dim=8, teacher_dim=8, classes=3)
objective = build_objective(load("distill", ["objective=hard"]).objective, sizes)
assert [type(term.loss).__name__ for term in objective.terms.values()] == ["HardCosine"]
both = Output(torch.eye(8)[:2])
step = LossInputs(torch.tensor([0, 1]), both, torch.ones(3, 8), both)
assert objective.terms["embedding"].loss(step).tolist() == [0, 0]

student = build(load("distill", ["student=tiny"]).student.network, "student.network")
assert student(torch.zeros(2, 3, 112, 112)).shape == student(torch.zeros(2, 3, 80, 80)).shape == (2, 512)

teacher = load("teach", ["teacher=r34"]).teacher
assert (teacher.name, teacher.network["units"], teacher.card) == ("r34", [3, 4, 6, 3], None)

picture = cv2.imencode(".png", np.random.default_rng(1).integers(0, 255, (112, 112, 3), np.uint8))[1].tobytes()
Path("faces").mkdir()
with tarfile.open("faces/faces.tar", "w") as archive:
    for name in ("anna/1.png", "ben/1.png"):
        entry = tarfile.TarInfo(name)
        entry.size = len(picture)
        archive.addfile(entry, io.BytesIO(picture))
conf = load("distill", ["data=packed", "data.root=faces"])
faces = build(conf.data.reader, "data.reader", root=conf.data.root)
assert (len(faces), faces.classes, faces.read(0)) == (2, 2, picture)

assert "size" in STAGES and [stage.name for stage in stages(None)] == list(STAGES)
"""


@dataclass(frozen=True)
class Block:
    kind: str
    path: str
    after: str
    text: str


def _sections(repository: Path) -> dict[str, list[Block]]:
    parts = re.split(r"^## ", (repository / "docs/contributing.md").read_text(), flags=re.MULTILINE)[1:]
    return {part.split("\n", 1)[0]: [Block(*found) for found in BLOCK.findall(part)] for part in parts}


def _follow(copy: Path, block: Block) -> None:
    """Write a new file, or insert the lines after the one line that ends as the block says."""
    path = copy / block.path
    if not block.after:
        assert not path.exists(), f"{block.path} is there already"
        path.write_text(block.text)
        return
    lines = path.read_text().splitlines(keepends=True)
    [place] = [number for number, line in enumerate(lines) if line.rstrip("\n").endswith(block.after)]
    path.write_text("".join([*lines[: place + 1], block.text, *lines[place + 1 :]]))


@pytest.fixture(scope="module")
def followed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which every block of the page that names a file was followed."""
    copy = tmp_path_factory.mktemp("project")
    leave = shutil.ignore_patterns("__pycache__", "*.safetensors")
    for folder in ("distill", "teachers", "conf"):
        shutil.copytree(repository / folder, copy / folder, ignore=leave)
    shutil.copy(repository / "pyproject.toml", copy)
    for blocks in _sections(repository).values():
        for block in blocks:
            if block.path:
                _follow(copy, block)
    return copy


def _run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    where = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], cwd=copy, env=where, text=True, capture_output=True)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_has_under_ten_lines_imports_aside(repository: Path, recipe: str):
    blocks = [block for block in _sections(repository)[f"Add a {recipe}"] if block.path]
    lines = [line for block in blocks for line in block.text.splitlines()]
    assert 0 < len([line for line in lines if line.strip() and not line.startswith(("import ", "from "))]) < 10


@pytest.mark.slow
def test_what_the_recipes_add_is_found_and_works(followed: Path):
    done = _run(followed, "-c", CHECK)
    assert done.returncode == 0, done.stderr


def test_what_the_recipes_add_is_clean(followed: Path, repository: Path):
    added = [b.path for blocks in _sections(repository).values() for b in blocks if b.path.endswith(".py")]
    for command in (["check"], ["format", "--check"]):
        done = _run(followed, "-m", "ruff", *command, "--no-cache", *added)
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_commands_run(followed: Path, repository: Path):
    texts = [block.text for blocks in _sections(repository).values() for block in blocks if block.kind == "sh"]
    commands = [line.split() for text in texts for line in text.splitlines()]
    assert len(commands) == 5
    for program, *words in commands:
        assert program == ".venv/bin/python"
        done = _run(followed, *words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"


def test_the_targets_that_the_page_names_are_in_the_makefile(repository: Path):
    targets = set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", (repository / "docs/contributing.md").read_text(), re.M)) <= targets
