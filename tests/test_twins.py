"""No two classes have one name, and no two tables of fields say the same unless one line says why."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path

ALIKE = 0.6
"""Shared names of all names of two tables, from which on they are suspects."""
JUSTIFIED = {
    ("ProtocolConf", "Protocol"): "plain values that a YAML file must give, against the checked and frozen limits",
    ("SigningConf", "Signing"): "names of files with keys, against the keys",
    ("Plan", "Length"): "the same run in batches for the data, and in steps of several batches for the trainer",
    ("TeachConf", "DistillConf"): "two jobs that train, export and check a network, one without a teacher",
    ("RunConf", "IjbFolder"): "two options of a run, against a folder with its lists",
    ("NewViews", "MirrorViews"): "two rules with the same settings",
    ("NewViews", "FixedViews"): "two rules with the same settings",
    ("Strip", "_Strip"): "float32 rows on the host and the device, against float64 rows of the exhaustive check",
    ("Impostors", "Scored"): "persons and weights, against rows and kinds",
    ("Case", "Rivals"): "scores of both models on a set, against their files",
    ("Bands", "Levels"): "ranges with their rules, against the arrays of them that compiled loops take",
    ("RankedScore", "Curve"): "two numbers at one threshold, against arrays over all thresholds",
    ("Curve", "Histogram"): "counts above each threshold, against counts within each bin",
}


def test_a_class_name_means_one_thing(repository: Path):
    counts = Counter(name for name, _ in _classes(repository))
    assert [name for name, times in counts.items() if times > 1] == []


def test_no_two_tables_of_fields_say_the_same(repository: Path):
    tables = [(name, fields) for name, fields in _classes(repository) if len(fields) > 1]
    alike = {
        (one, other)
        for (one, left), (other, right) in combinations(tables, 2)
        if len(left & right) >= ALIKE * len(left | right)
    }
    assert alike == JUSTIFIED.keys()


@cache
def _classes(root: Path) -> tuple[tuple[str, frozenset[str]], ...]:
    """Every class of the packages, with the names of the fields that it declares itself."""
    return tuple(_found(root))


def _found(root: Path) -> Iterator[tuple[str, frozenset[str]]]:
    for path in sorted(path for package in ("distill", "teachers") for path in (root / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                declared = [one.target for one in node.body if isinstance(one, ast.AnnAssign)]
                yield node.name, frozenset(target.id for target in declared if isinstance(target, ast.Name))
