"""What the constructor of a ``_target_`` takes, read from its source: a mistake in an option loads no torch.

Classes of ``torch.nn``, and constructors that come from outside of the project, are imported and inspected.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Optional, Union, get_type_hints

from distill.config.suggest import did_you_mean
from distill.errors import UserError

OURS = ("distill.", "teachers.")
ALLOWED = (*OURS, "torch.nn.")
"""Where targets may live: a run's stored configuration cannot name ``os.system``."""


@dataclass(frozen=True)
class Parameter:
    """One option of a target. ``annotation`` is Any where the source names a type that YAML cannot write."""

    annotation: Any = Any
    required: bool = False


@dataclass(frozen=True)
class Signature:
    """The first line of a target's docstring and its parameters by name."""

    summary: str = ""
    parameters: dict[str, Parameter] = field(default_factory=dict)


def signature(path: Any, where: str) -> Signature:
    """What the class at the dotted ``path`` takes, for the node at ``where``.

    Raises UserError for what may not be a target, or is none.
    """
    if not isinstance(path, str) or not path.startswith(ALLOWED):
        raise UserError(f"{where}._target_ is {path!r}; expected a class in {', '.join(a[:-1] for a in ALLOWED)}")
    module, _, name = path.rpartition(".")
    if not path.startswith(OURS):
        return _imported(module, name, path, where)
    try:
        source = _source(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise UserError(f"{where}._target_ is {path!r}; there is no module {error.name}") from None
    found = source.find_class(name)
    if found is None:
        near = did_you_mean(name, source.classes)
        raise UserError(f"{where}._target_ is {path!r}; no such class in {module}{near}")
    return _declared(*found)


def _imported(module_path: str, name: str, path: str, where: str) -> Signature:
    try:
        module = import_module(module_path)
    except ModuleNotFoundError as error:
        if error.name is None or not module_path.startswith(error.name):
            raise
        raise UserError(f"{where}._target_ is {path!r}; there is no module {error.name}") from None
    classes = {n: c for n, c in vars(module).items() if isinstance(c, type) and c.__module__.startswith(ALLOWED)}
    if name not in classes:
        near = did_you_mean(name, classes)
        raise UserError(f"{where}._target_ is {path!r}; no such class in {module_path}{near}")
    return _inspected(classes[name])


def _inspected(kind: type) -> Signature:
    hints = get_type_hints(kind.__init__)
    parameters = {
        name: Parameter(hints.get(name, Any), p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
        for name, p in inspect.signature(kind).parameters.items()
    }
    return Signature((inspect.getdoc(kind) or "").partition("\n")[0], parameters)


@dataclass(frozen=True)
class _Source:
    """A module of the project as it is written."""

    module: str
    classes: Mapping[str, ast.ClassDef]
    aliases: Mapping[str, ast.expr]
    imports: Mapping[str, tuple[str, str]]
    """Local name to (module, name) of everything imported from a module of the project."""

    def find_class(self, name: str) -> tuple[_Source, ast.ClassDef] | None:
        """A class of this module, or one of the project that it imports, with the module that defines it."""
        if name in self.classes:
            return self, self.classes[name]
        module, original = self.imports.get(name, ("", ""))
        return _source(module).find_class(original) if module else None

    def read(self, node: ast.expr | None) -> Any:
        """The type that an annotation names; Any for those that no value of YAML can be held against."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return Union[self.read(node.left), self.read(node.right)]  # noqa: UP007
        if isinstance(node, ast.Subscript):
            return self._read_generic(node)
        if isinstance(node, ast.Constant):
            return None if node.value is None else Any
        return self._read_name(node.id) if isinstance(node, ast.Name) else Any

    def _read_generic(self, node: ast.Subscript) -> Any:
        outer = node.value.id if isinstance(node.value, ast.Name) else ""
        arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer == "Literal":
            return Literal[tuple(ast.literal_eval(a) for a in arguments)]
        if outer == "Optional":
            return Optional[self.read(arguments[0])]  # noqa: UP045
        if outer not in _GENERIC:
            return Any
        inner = tuple(... if isinstance(a, ast.Constant) and a.value is ... else self.read(a) for a in arguments)
        return _GENERIC[outer][inner]

    def _read_name(self, name: str) -> Any:
        if name in _PLAIN or name in _GENERIC:
            return _PLAIN.get(name, _GENERIC.get(name))
        if name in self.aliases:
            return self.read(self.aliases[name])
        module, original = self.imports.get(name, ("", ""))
        return _source(module)._read_name(original) if module else Any


_PLAIN: Mapping[str, Any] = {"bool": bool, "int": int, "float": float, "str": str, "Path": Path, "Any": Any}
_GENERIC: Mapping[str, Any] = {"Sequence": Sequence, "Mapping": Mapping, "list": list, "tuple": tuple, "dict": dict}


@cache
def _source(module: str) -> _Source:
    """Raises ModuleNotFoundError for a module that is not there."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(name=module)
    body = ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body
    classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
    aliases: dict[str, ast.expr] = {}
    imports: dict[str, tuple[str, str]] = {}
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            aliases[node.targets[0].id] = node.value
        elif isinstance(node, ast.ImportFrom) and node.module and f"{node.module}.".startswith(OURS):
            imports |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
    return _Source(module, classes, aliases, imports)


def _declared(source: _Source, node: ast.ClassDef) -> Signature:
    summary = (ast.get_docstring(node) or "").partition("\n")[0]
    return Signature(summary, _parameters(source, node))


def _parameters(source: _Source, node: ast.ClassDef) -> dict[str, Parameter]:
    """Of the class's own constructor, of its fields where it is a dataclass, else of its first base."""
    own = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if own is not None:
        return _of_constructor(source, own)
    found = (source.find_class(base.id) for base in node.bases if isinstance(base, ast.Name))
    inherited = next((_parameters(*one) for one in found if one is not None), {})
    if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return inherited
    fields = [n for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
    return inherited | {
        n.target.id: Parameter(source.read(n.annotation), n.value is None)
        for n in fields
        if isinstance(n.target, ast.Name)
    }


def _of_constructor(source: _Source, node: ast.FunctionDef) -> dict[str, Parameter]:
    taken = node.args
    positional = [*taken.posonlyargs, *taken.args]
    plain = len(positional) - len(taken.defaults)
    found = {a.arg: Parameter(source.read(a.annotation), i < plain) for i, a in enumerate(positional) if i}
    for argument, default in zip(taken.kwonlyargs, taken.kw_defaults, strict=True):
        found[argument.arg] = Parameter(source.read(argument.annotation), default is None)
    return found
