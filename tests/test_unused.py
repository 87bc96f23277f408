"""Nothing public stands in the packages for the tests alone, and every loss has a configuration that uses it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml

PACKAGES = ("distill", "teachers")
USERS = (*PACKAGES, "benchmarks", "deploy", ".ci")
CALLED_BY_NAME = re.compile(r"distill\.jobs\.\w+\.run")
"""The entries of jobs: ``distill.cli`` imports the job that the command line names."""


def test_no_public_function_class_or_constant_is_there_for_tests_alone(repository: Path):
    trees = {path: ast.parse(path.read_text("utf-8")) for path in _python(repository, *USERS)}
    used = {name for tree in trees.values() for name in _imports(tree)}
    used |= _named_in_configurations(repository)
    idle = [
        name
        for path in _python(repository, *PACKAGES)
        for name in _defined(trees[path], _module(path, repository))
        if name not in used and not CALLED_BY_NAME.fullmatch(name)
    ]
    assert sorted(idle) == [], "use it, make it private or move it to the tests"


def test_every_loss_has_a_configuration(repository: Path):
    losses = {
        f"distill.losses.{path.stem}.{node.name}"
        for path in (repository / "distill" / "losses").glob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) and "Loss" in map(ast.unparse, node.bases)
    }
    assert losses
    assert sorted(losses - _named_in_configurations(repository)) == []


def _python(root: Path, *folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((root / folder).rglob("*.py"))


def _module(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _defined(tree: ast.Module, module: str) -> Iterator[str]:
    """The public names that a module defines at its top and does not use itself outside of their definition."""
    reads = [set(_read(statement)) for statement in tree.body]
    times = Counter(name for names in reads for name in names)
    for node, own in zip(tree.body, reads, strict=True):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        yield from (f"{module}.{n}" for n in names if not n.startswith("_") and times[n] == (n in own))


def _read(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
            yield inner.id


def _imports(tree: ast.Module) -> Iterator[str]:
    """``distill.a.b.name`` for every name that a module takes from another one: by itself, or as ``b.name``."""
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
                modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and _imported(node.value):
            modules[node.targets[0].id] = _imported(node.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            yield f"{modules.get(owner) or _imported(node.value)}.{node.attr}"


def _imported(node: ast.AST) -> str:
    """The module in ``import_module("distill.a.b")``; "" for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "import_module":
        return str(ast.literal_eval(node.args[0])) if isinstance(node.args[0], ast.Constant) else ""
    return ""


def _named_in_configurations(root: Path) -> set[str]:
    texts = [path.read_text("utf-8") for path in (root / "conf").rglob("*.yaml")]
    assert all(yaml.safe_load(text) for text in texts)
    return {target for text in texts for target in re.findall(r"_target_: ([\w.]+)", text)}
