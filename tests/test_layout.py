"""Tests stand where their file stands, or where ``covered_by.txt`` says; jobs are short entries."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

import pytest

from distill.config.compose import JOBS

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
COVERED_BY = TESTS / "covered_by.txt"
ROOMS = ("scenarios", "deploy", "golden", "reference", "fixtures")
"""Folders of tests that mirror no folder of the product."""
SHORT = 40
"""Lines of a file that needs no test of its own name."""
MODULE = re.compile(r"(distill|teachers)(\.\w+)+")
MEDIAN_JOB, LONGEST_JOB = 60, 90


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def product_files() -> Iterator[Path]:
    """All of the product, relative to the root."""
    for package in ("distill", "teachers"):
        yield from (path.relative_to(ROOT) for path in sorted((ROOT / package).rglob("*.py")))


def own_test(file: Path) -> Path:
    """``tests/data/test_tiff.py`` of ``distill/data/tiff.py``."""
    folder = Path(*file.parts[1:-1]) if file.parts[0] == "distill" else file.parent
    return Path("tests") / folder / f"test_{file.name}"


def covered() -> dict[Path, list[Path]]:
    """The list: a file of the product, and the tests that run it."""
    rows = [line.split() for line in COVERED_BY.read_text().splitlines() if line and not line.startswith("#")]
    found = {Path(file): [Path(test) for test in tests] for file, *tests in rows}
    assert len(found) == len(rows), "a file stands twice in the list"
    return found


def test_every_file_has_a_test_of_its_name_or_stands_in_the_list():
    needing = {file for file in product_files() if lines(ROOT / file) > SHORT and not (ROOT / own_test(file)).is_file()}
    listed = covered()
    assert sorted(needing - listed.keys()) == [], "write the test of their name, or name the test in covered_by.txt"
    assert sorted(listed.keys() - needing) == [], "gone, short, or with a test of their name: take them out of the list"
    assert list(listed) == sorted(listed), "the list is in alphabetical order"


@pytest.mark.parametrize(("file", "tests"), covered().items(), ids=str)
def test_the_tests_of_the_list_reach_the_file(file: Path, tests: list[Path]):
    assert tests, "names no test"
    for test in tests:
        assert (ROOT / test).is_file(), f"{test} is missing"
        assert ROOT / file in reached(ROOT / test), f"{test} imports nothing that leads to {file}"


def test_a_test_in_a_mirrored_folder_has_the_name_of_a_file_there():
    own = {own_test(file) for file in product_files()}
    mirrored = (path.relative_to(ROOT) for path in TESTS.glob("*/**/test_*.py"))
    assert [str(test) for test in mirrored if test.parts[1] not in ROOMS and test not in own] == []


def test_no_test_imports_a_conftest():
    wrong = [path for path in TESTS.rglob("*.py") if any(name.endswith("conftest") for name in imported(path))]
    assert wrong == []


def test_each_job_is_a_file_and_a_short_one():
    files = {path.stem: lines(path) for path in (ROOT / "distill" / "jobs").glob("*.py") if path.stem != "__init__"}
    assert files.keys() == JOBS.keys()
    assert median(files.values()) <= MEDIAN_JOB
    long = [name for name, count in files.items() if count > LONGEST_JOB]
    assert long == [], "their bodies belong to the packages that know the work"


# what a test reaches: what it imports, and the jobs and classes that it or a configuration names


@cache
def imported(path: Path) -> frozenset[str]:
    """Modules that a file imports, anywhere in it, or loads by their names; of ``from a.b import c`` also ``a.b.c``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE.fullmatch(node.value):
            found.add(node.value)
    return frozenset(found)


@cache
def file_of(module: str) -> Path | None:
    """The file of a module of the product or the tests."""
    place = Path(*module.split("."))
    candidates = (root / end for root in (ROOT, TESTS) for end in (place.with_suffix(".py"), place / "__init__.py"))
    return next((path for path in candidates if path.is_file()), None)


def jobs_named(test: Path) -> Iterator[Path]:
    """The entries of the jobs that a test starts by their names."""
    for node in ast.walk(ast.parse(test.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and node.value in JOBS:
            yield ROOT / "distill" / "jobs" / f"{node.value}.py"


def reached(test: Path) -> set[Path]:
    """Every file that importing the test loads, or the jobs that it names."""
    found: set[Path] = set()
    left = {test, *jobs_named(test), *(path for folder in test.parents for path in folder.glob("conftest.py"))}
    while left:
        path = left.pop()
        found.add(path)
        left |= {file for name in imported(path) if (file := file_of(name)) is not None} - found
    return found
