"""Help and users' mistakes answer at once: none of them loads torch, or any other large library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from distill.config.jobs import JOBS

HEAVY = ("torch", "pytorch_lightning", "wandb", "onnxruntime", "onnx", "cv2", "scipy")
MOST_SECONDS = 1.0
"""Of processor time for a help text."""

# One fresh interpreter for many commands: a module that any of them loads stays loaded.
PROGRAM = """
import json, resource, sys
from distill.cli import main
statuses = [main(arguments) for arguments in json.loads(sys.argv[1])]
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([statuses, used.ru_utime + used.ru_stime, list(sys.modules)]), file=sys.stderr)
"""
MISTAKES = {
    "chek": "there is no job 'chek'; did you mean 'check'?",
    "check --hlp": "there is no flag '--hlp'",
    "check modle=x.onnx": "there is no option 'modle'; did you mean 'model'?",
    "check": "model is missing: an ONNX file, e.g. model=student.onnx",
    "check model=x.onnx protocol=iqiy_light": "did you mean 'iqiyi_light'?",
    "verify model=x.onnx pairs=x.bin folds=ten": "folds",
    "distill +student.network.last_chanels=8": "did you mean 'last_channels'?",
    "distill student.network.last_channels=wide": "student.network.last_channels is 'wide'; expected int",
    "distill student.network._target_=os.system": "student.network._target_ is 'os.system'",
    "distill student.network._target_=distill.students.vargnet.VargNet": "did you mean 'VarGNet'?",
    "distill teacher=r25": "there is no teacher 'r25'",
    "nightly": "drops is missing",
}


def run(commands: Sequence[str]) -> tuple[list[int], float, list[str], list[str]]:
    """Of a fresh interpreter: exit statuses, seconds of processor time, heavy modules, lines of errors."""
    words = json.dumps([command.split() for command in commands])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COMP_LINE": "face-distill distill student="}
    done = subprocess.run([sys.executable, "-c", PROGRAM, words], capture_output=True, text=True, env=environment)
    *messages, last = done.stderr.splitlines()
    statuses, seconds, modules = json.loads(last)
    return statuses, seconds, [name for name in HEAVY if name in modules], messages


def test_no_help_loads_anything_heavy():
    statuses, _, loaded, _ = run(["--help", *(f"{job} --help" for job in JOBS), "-sc query=bash"])
    assert set(statuses) == {0}
    assert loaded == []


@pytest.mark.parametrize("command", ["--help", "check --help", "distill --help"])
def test_help_is_quick(command: str):
    seconds = min(run([command])[1] for _ in range(2))  # a busy machine answers later now and then
    assert seconds < MOST_SECONDS


def test_no_mistake_loads_anything_heavy():
    statuses, _, loaded, messages = run(list(MISTAKES))
    assert set(statuses) == {2}
    assert loaded == []
    assert len(messages) == len(MISTAKES)
    for line, expected in zip(messages, MISTAKES.values(), strict=True):
        assert line.startswith("error: ")
        assert expected in line
