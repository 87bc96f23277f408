"""What make hands on: every variable of its command line, word for word, and ARGS last."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def project(repository: Path, tmp_path: Path) -> Path:
    """A copy of the Makefile beside an environment that only prints what it is asked to run, a word on each line."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(repository / name, tmp_path)
    tools = tmp_path / ".venv/bin"
    tools.mkdir(parents=True)
    for name in ("python", "ruff", "pyright", "lint-imports", "pytest"):
        (tools / name).write_text(f'#!/bin/sh\nprintf "%s\\n" "[{name}]" "$@"\n')
        (tools / name).chmod(0o755)
    (tmp_path / ".venv/.ready").touch()
    return tmp_path


def make(folder: Path, *arguments: str) -> list[str]:
    """The printed words; make's own variables of a surrounding make are left out."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "ARGS"))}
    done = subprocess.run(["make", *arguments], cwd=folder, env=clean, text=True, capture_output=True, check=True)
    return done.stdout.splitlines()


def test_variables_go_to_the_job_and_args_last(project: Path):
    words = make(project, "distill", "teacher=r152", "data.root=/x", "student.init=runs/y", "ARGS=a.b=c -m")
    assert words == [*"[python] -m distill distill data.root=/x student.init=runs/y teacher=r152 a.b=c -m".split()]


@pytest.mark.parametrize(
    "value",
    [
        "/a b/c",
        "it's",
        'say "so"',
        "${run.root}",
        "[1, 2]",
        "{a: 1}",
        "a\\b",
        "`id`",
        "x;y|z&",
        "*",
        "a,b",
        "r=1",
        "a$b",
        "$(x)",
        "a#b",
        "50%",
    ],
)
def test_values_arrive_as_they_were_given(project: Path, value: str):
    assert make(project, "distill", f"run.name={value}")[-1] == f"run.name={value}"


def test_forced_keys_are_variables_too(project: Path):
    assert make(project, "distill", "+data.augment.new=1")[-1] == "+data.augment.new=1"


def test_quotes_in_args_are_the_shell_s(project: Path):
    words = make(project, "distill", "ARGS='student=vargnet,mobilefacenet' -m run.name='\"a b\"'")
    assert words[-3:] == ["student=vargnet,mobilefacenet", "-m", 'run.name="a b"']


def test_dollars_in_args_are_the_shell_s_too(project: Path):
    assert make(project, "distill", "ARGS=-m run.name='a$b,$(c)'")[-2:] == ["-m", "run.name=a$b,$(c)"]


@pytest.mark.parametrize(
    ("target", "job"),
    [
        ("teacher", "teach"),
        ("export", "export"),
        ("verify", "verify"),
        ("ijb", "ijb"),
        ("distill", "distill"),
        ("embed", "embed"),
        ("score", "score"),
        ("evaluate", "evaluate"),
        ("curves", "curves"),
        ("judge", "judge"),
        ("nightly", "nightly"),
        ("nights", "nights"),
        ("registry", "registry"),
        ("rollback", "rollback"),
        ("faces", "contact_sheet"),
        ("dashboard", "dashboard"),
    ],
)
def test_targets_run_their_jobs(project: Path, target: str, job: str):
    assert make(project, target) == ["[python]", "-m", "distill", job]


def test_check_judges_a_model_where_options_are_given(project: Path):
    assert make(project, "check", "model=a.onnx", "protocol=p")[1:] == [
        "-m",
        "distill",
        "check",
        "model=a.onnx",
        "protocol=p",
    ]
    assert make(project, "check", "ARGS=model=a.onnx")[-2:] == ["check", "model=a.onnx"]


def test_check_is_the_code_s_without_options(project: Path):
    words = make(project, "check")
    assert [w for w in words if w.startswith("[")] == ["[ruff]", "[ruff]", "[pyright]", "[lint-imports]"]


def test_help_lists_every_target(project: Path):
    text = "\n".join(make(project, "help"))
    targets = re.findall(r"^([a-z-]+):", (project / "Makefile").read_text(), flags=re.MULTILINE)
    assert len(targets) > 10
    assert all(re.search(rf"^  {t} +\S", text, flags=re.MULTILINE) for t in targets)


def test_a_changed_dependency_sets_up_again(project: Path):
    os.utime(project / ".venv/.ready", (0, 0))
    words = make(project, "test")
    assert words[words.index("pip") :][:2] == ["pip", "install"]
    assert {"-c", "constraints.txt", "-e", ".[dev,dashboard]"} <= set(words)
