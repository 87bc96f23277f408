"""One door for each thing: which modules may rename, lock and parse JSON themselves, and why."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

RENAME = {
    "distill/files/durable.py": "the door: contents, name and folder are on the disk in this order",
    "distill/registry/shelf.py": "puts many versions aside with one rename each, and synchronises the two folders once",
}
LOCK = {
    "distill/files/lock.py": "the door: one holder of a file, freed when its process dies",
    "distill/files/claims.py": "a lock on each of many numbers, which flock(2) on a file cannot give",
}
PARSE = {
    "distill/files/json_file.py": "the door: a file, its keys and its types",
    "distill/files/foreign.py": "asks of a stranger's file whether it is JSON at all",
    "distill/features/template_sums.py": "a value within an NPZ file",
    "distill/registry/history.py": "a log, line by line; a torn line is told and left out",
    "distill/runs/centres_file.py": "the metadata of a safetensors file",
    "distill/signals/checksummed.py": "the header of a safetensors file, by its bytes",
    "distill/tracking/series.py": "a log, line by line; a kill may tear the last line",
    "teachers/onnx_network.py": "the metadata of an ONNX file",
}
DOORS = [
    (("os.rename", "os.replace", "os.link", "shutil.move", "Path.rename"), RENAME),
    (("fcntl.flock", "fcntl.lockf"), LOCK),
    (("json.load", "json.loads"), PARSE),
    (("tempfile.NamedTemporaryFile", "tempfile.mkstemp"), {}),
]


@pytest.mark.parametrize(("calls", "permitted"), DOORS, ids=["rename", "lock", "json", "temporary files"])
def test_only_its_door_does_it(calls: tuple[str, ...], permitted: dict[str, str], repository: Path):
    found = {
        path.relative_to(repository).as_posix()
        for package in ("distill", "teachers")
        for path in (repository / package).rglob("*.py")
        if not called(path.read_text("utf-8")).isdisjoint(calls)
    }
    assert found == permitted.keys()


def called(source: str) -> set[str]:
    """``module.function`` of every use of a module's function; ``Path.rename`` for a method of that name."""
    tree = ast.parse(source)
    taken = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    names = {taken[node.id] for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in taken}
    dotted = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    methods = {
        "Path.rename"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "rename"
    }
    return names | dotted | methods


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import os\nos.rename(a, b)", "os.rename"),
        ("from os import replace as put\nput(a, b)", "os.replace"),
        ("path.rename(b)", "Path.rename"),
        ("from json import loads\nread = loads", "json.loads"),
    ],
)
def test_each_way_to_call_is_found(source: str, what: str):
    assert what in called(source)


def test_what_is_private_stays_in_its_module(repository: Path):
    borrowed = [
        f"{path.relative_to(repository)}: {alias.name}"
        for package in ("distill", "teachers")
        for path in (repository / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("distill", "teachers"))
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert borrowed == []
