"""Docstrings under the fields of a dataclass, read from its source: the explanations in ``JOB --help``.

Python keeps no docstrings of fields, so that they stand once, beside the field, where whoever changes it reads them.
"""

from __future__ import annotations

import ast
import dataclasses
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

_ITSELF = ""
"""The name that a class's own docstring stands under, beside those of its fields."""


def field_doc(kind: type, name: str) -> str:
    """A field of a dataclass in one line: its docstring, what it asks for, or the summary of the group it holds.

    Empty where there is none.
    """
    own = next((docs[name] for owner in kind.__mro__ if name in (docs := _documented(owner))), "")
    if own:
        return own
    one = next(f for f in dataclasses.fields(kind) if f.name == name)
    if "what" in one.metadata:
        return str(one.metadata["what"])
    inner = group_in(get_type_hints(kind)[name])
    return "" if inner is None else _documented(inner).get(_ITSELF, "")


def group_in(annotation: Any) -> type | None:
    """The dataclass that a field holds: one, or one for each name or place."""
    kinds = (annotation, *get_args(annotation))
    return next((k for k in kinds if isinstance(k, type) and dataclasses.is_dataclass(k)), None)


def summary(docstring: str) -> str:
    """A docstring's first paragraph in one line, as a terminal shows it."""
    return " ".join(docstring.strip().partition("\n\n")[0].split()).replace("``", "")


def _documented(kind: type) -> Mapping[str, str]:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return {} if file is None else _documents_in(Path(file)).get(kind.__name__, {})


@cache
def _documents_in(file: Path) -> Mapping[str, Mapping[str, str]]:
    """Docstrings by class and field."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return {node.name: dict(_docstrings(node)) for node in body if isinstance(node, ast.ClassDef)}


def _docstrings(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    yield _ITSELF, summary(ast.get_docstring(node) or "")
    for declared, below in zip(node.body, node.body[1:], strict=False):
        if not isinstance(declared, ast.AnnAssign) or not isinstance(declared.target, ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            yield declared.target.id, summary(below.value.value)
