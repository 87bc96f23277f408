"""Nothing in the tree unpickles, evaluates, asks a shell or unpacks an archive; the few exceptions are named here."""

from __future__ import annotations

from pathlib import Path

import pytest

from reference.unsafe_calls import unsafe_calls

PRODUCT = ("distill", "teachers", "benchmarks", ".ci")
PERMITTED = {("distill/data/unpickle.py", "pickle._Unpickler")}
"""The base of the reader of verification sets, which imports no name of the file's."""
TESTS_MAY = {"pickle.loads", "exec", "eval", "os.system", "__import__", ".extractall()"}
"""With what the test itself has just made: a pickled object of ours, our card's lines, our wheel, an attack."""


def found_in(root: Path, *folders: str) -> set[tuple[str, str]]:
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    assert paths
    return {
        (path.relative_to(root).as_posix(), finding.what)
        for path in paths
        for finding in unsafe_calls(path.read_text(encoding="utf-8"))
    }


def test_nothing_runs_what_a_stranger_wrote(repository: Path):
    assert found_in(repository, *PRODUCT) == PERMITTED


def test_tests_run_only_what_they_made_themselves(repository: Path):
    assert {what for _, what in found_in(repository, "tests")} == TESTS_MAY


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import pickle\npickle.loads(b'')", "pickle.loads"),
        ("import pickle as p\nread = p.load", "pickle.load"),
        ("from pickle import loads as read\nread(b'')", "import of pickle.loads"),
        ("import numpy as np\nnp.load('x', allow_pickle=True)", "allow_pickle=True"),
        ("import numpy as np\nnp.load('x', allow_pickle=trusted)", "allow_pickle=trusted"),
        ("import torch\ntorch.load('x')", "torch.load without weights_only=True"),
        ("import torch\ntorch.load('x', weights_only=False)", "torch.load without weights_only=True"),
        ("import torch\ntorch.load('x', weights_only=flag)", "torch.load without weights_only=True"),
        ("from torch import load", "import of torch.load"),
        ("import joblib\njoblib.load('x')", "joblib.load"),
        ("import yaml\nyaml.load(text)", "yaml.load without Loader=yaml.SafeLoader"),
        ("import yaml\nyaml.load(text, Loader=yaml.Loader)", "yaml.Loader"),
        ("import yaml\nyaml.unsafe_load(text)", "yaml.unsafe_load"),
        ("eval(text)", "eval"),
        ("def f():\n    run = exec", "exec"),
        ("import builtins\nbuiltins.eval(text)", "builtins.eval"),
        ("import subprocess\nsubprocess.run('ls', shell=True)", "shell=True"),
        ("import subprocess\nsubprocess.run(words, shell=wanted)", "shell=wanted"),
        ("from os import system", "import of os.system"),
        ("import os\nos.popen('ls')", "os.popen"),
        ("import tarfile\ntarfile.open('x').extractall()", ".extractall()"),
        ("with archive as a:\n    a.extractall('y')", ".extractall()"),
        ("import requests\nrequests.get(u, verify=False)", "verify=False"),
    ],
)
def test_each_of_these_is_found(source: str, what: str):
    assert what in [finding.what for finding in unsafe_calls(source)]


@pytest.mark.parametrize(
    "source",
    [
        "network.eval()",
        "import pickle\npickle.dumps(x)",
        "import torch\ntorch.load('x', map_location='cpu', weights_only=True)",
        "import yaml\nyaml.safe_load(text)",
        "import yaml\nyaml.load(text, Loader=yaml.SafeLoader)",
        "import numpy as np\nnp.load('x', allow_pickle=False)",
        "import subprocess\nsubprocess.run(['ls'], shell=False)",
        "from distill.data.pairs import load",
    ],
)
def test_harmless_code_passes(source: str):
    assert unsafe_calls(source) == []
