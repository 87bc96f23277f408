"""Completion in the shell: jobs, then Hydra's candidates for the options of a job."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from distill.cli import main
from distill.config.jobs import JOBS


@pytest.mark.parametrize(
    ("line", "candidates"),
    [
        ("face-distill che", ["check"]),
        ("face-distill ", list(JOBS)),
        ("face-distill check protocol=iq", ["protocol=iqiyi_large", "protocol=iqiyi_light"]),
        ("face-distill check protocol.f", ["protocol.far_target=", "protocol.flip=", "protocol.fusion="]),
        (
            "face-distill distill tracking=none student=vargn",
            ["student=vargnet", "student=vargnet_frame_quality", "student=vargnet_quality"],
        ),
        ("face-distill chek protocol=", []),
        ("face-distill check 'model=", []),
    ],
)
def test_candidates(
    line: str, candidates: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("COMP_LINE", line)
    assert main(["-sc", "query=bash"]) == 0
    assert capsys.readouterr().out.split() == candidates


def test_help_says_how_to_switch_it_on(capsys: pytest.CaptureFixture[str]):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(words in out for words in ("install=bash", "bashcompinit", "install=fish"))


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_what_a_shell_evaluates_names_the_command(shell: str, capsys: pytest.CaptureFixture[str]):
    assert main(["-sc", f"install={shell}"]) == 0
    assert "face-distill" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argument", "message"),
    [("install=tcsh", "no completion for the shell 'tcsh'"), ("now", "-sc takes install=SHELL")],
)
def test_another_shell_is_refused(argument: str, message: str, capsys: pytest.CaptureFixture[str]):
    assert main(["-sc", argument]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_a_choice(tmp_path: Path):
    command = tmp_path / "face-distill"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m distill "$@"\n')
    command.chmod(0o755)
    script = """
eval "$(face-distill -sc install=bash)"
COMP_LINE="face-distill check protocol=iqiyi_li" COMP_CWORD=2
hydra_bash_completion 2> /dev/null
echo "${COMPREPLY[@]}"
"""
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines()[-1] == "protocol=iqiyi_light"
