"""Whoever reads the champion while it changes, hundreds of times, has a whole model every time."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from distill.registry.registry import Policy, Registry
from reference.served_registry import add, model_bytes

PROMOTIONS = 250

CONSUMER = """
import collections, hashlib, json, os, sys, time
root, known = sys.argv[1], json.loads(sys.argv[2])
seen = collections.Counter()
print("ready", flush=True)
while not os.path.exists(f"{root}/../stop"):
    with open(f"{root}/champion/student.onnx", "rb") as file:
        seen[known[hashlib.sha256(file.read()).hexdigest()]] += 1
    with open(f"{root}/previous/student.onnx", "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() in known
    folder = os.path.realpath(f"{root}/champion")  # two files of one version: the link is followed once
    with open(f"{folder}/version.json") as record, open(f"{folder}/student.onnx", "rb") as model:
        assert json.load(record)["files"]["student.onnx"] == hashlib.sha256(model.read()).hexdigest()
    time.sleep(0.001)
print(json.dumps(seen))
"""
"""Knows nothing of this project but the path; ``known`` has the night of each model by its sha256."""

OWN = """
import os, sys, time
from pathlib import Path
from distill.registry.registry import Registry
registry, reads = Registry(Path(sys.argv[1])), 0
print("ready", flush=True)
while not os.path.exists(registry.root.parent / "stop"):
    registry.champion().verified()
    registry.previous().verified()
    registry.versions(), registry.history()
    reads += 1
    time.sleep(0.01)
print(reads)
"""
"""Reads through the project's own class."""


def start(program: str, environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *arguments]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return out


@pytest.mark.slow
def test_a_reader_in_a_loop(root: Path, environment: dict[str, str]):
    """While versions come, serve and go, beside a program of somebody else and one of ours."""
    known = {hashlib.sha256(model_bytes(night)).hexdigest(): night for night in range(1, PROMOTIONS + 10)}
    arguments = str(root), json.dumps(known)
    with start(CONSUMER, environment, *arguments) as consumer, start(OWN, environment, *arguments) as own:
        try:
            for number in range(PROMOTIONS):
                change(root, number)
        finally:
            (root.parent / "stop").touch()
        seen, reads = json.loads(finish(consumer)), int(finish(own))
    assert sum(seen.values()) > PROMOTIONS
    assert len(seen) > 10, "the reader saw hardly any change"
    assert reads > 20
    assert len([event for event in Registry(root).history() if event.state is not None]) == PROMOTIONS + 3


def change(root: Path, number: int) -> None:
    """One change of the pointers; every tenth time a new version comes and old ones go."""
    registry = Registry(root)
    if number % 10 == 0:
        add(root, 10 + number)
        registry.prune(Policy(newest=6, champions=2))
    champion, versions = registry.champion(), registry.versions()
    assert champion is not None
    name = [version.name for version in versions if version.name != champion.name][number % (len(versions) - 1)]
    if name in registry.withdrawn() or number % 3 == 0:
        registry.rollback({"number": number}, to=name)
    else:
        registry.promote(name, {"number": number})
