"""Finds, in the source of a module, what would run a stranger's bytes: unpickling, eval, shells, unpacking anywhere.

Names are followed through imports and their aliases, so that ``from pickle import loads as read`` is found where it is
used. What is built at run time (``getattr(pickle, name)``) is not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

FORBIDDEN = {
    *("pickle." + name for name in ("load", "loads", "Unpickler", "_Unpickler", "_load", "_loads")),
    *("dill." + name for name in ("load", "loads", "load_module", "load_session")),
    *("cloudpickle.load", "cloudpickle.loads", "joblib.load", "shelve.open", "marshal.load", "marshal.loads"),
    *("pandas.read_pickle", "numpy.lib.format.read_array", "torch.jit.load", "torch.hub.load", "torch.package"),
    *("yaml." + name for name in ("unsafe_load", "full_load", "unsafe_load_all", "full_load_all")),
    *("yaml." + name for name in ("Loader", "UnsafeLoader", "FullLoader", "CLoader", "CUnsafeLoader", "CFullLoader")),
    *("eval", "exec", "builtins.eval", "builtins.exec", "__import__", "os.system", "os.popen"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "shutil.unpack_archive", "tempfile.mktemp"),
    "ssl._create_unverified_context",
}
ONLY_WITH = {"torch.load": {"weights_only": True}, "yaml.load": {"Loader": "yaml.SafeLoader"}}
"""Calls that are harmless with one value of one keyword."""
NEVER_WITH = {"shell": False, "allow_pickle": False, "verify": True}
"""Keywords of any call that have to stay at their harmless value."""
METHODS = ("extractall",)
"""Of whatever object: tarfile and zipfile have them."""


class Finding(NamedTuple):
    line: int
    what: str


def unsafe_calls(source: str) -> list[Finding]:
    """What is unsafe in a module, by line."""
    tree = ast.parse(source)
    names = dict(_imported(tree))
    return sorted({found for node in ast.walk(tree) for found in _unsafe(node, names)})


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Local names and the dotted names that they were imported as."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                package = alias.name.split(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (package, package)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _dotted(node: ast.AST, names: dict[str, str]) -> str | None:
    """``pickle.loads`` for whatever the module calls it; None for what is no path of names."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value, names)) is not None:
        return f"{before}.{node.attr}"
    return None


def _unsafe(node: ast.AST, names: dict[str, str]) -> Iterator[Finding]:
    if isinstance(node, ast.ImportFrom):  # a name that is imported is meant to be used, whatever it is called then
        for name in (f"{node.module}.{alias.name}" for alias in node.names):
            if name in FORBIDDEN or name in ONLY_WITH:
                yield Finding(node.lineno, f"import of {name}")
    elif isinstance(node, ast.Name | ast.Attribute) and (name := _dotted(node, names)) in FORBIDDEN:
        yield Finding(node.lineno, str(name))
    elif isinstance(node, ast.Call):
        yield from _unsafe_call(node, names)


def _unsafe_call(call: ast.Call, names: dict[str, str]) -> Iterator[Finding]:
    keywords = {k.arg: _value(k.value, names) for k in call.keywords if k.arg}
    name = _dotted(call.func, names)
    if name in ONLY_WITH and not ONLY_WITH[name].items() <= keywords.items():
        yield Finding(call.lineno, f"{name} without {', '.join(f'{k}={v}' for k, v in ONLY_WITH[name].items())}")
    for key, harmless in NEVER_WITH.items():
        if keywords.get(key, harmless) != harmless:
            yield Finding(call.lineno, f"{key}={keywords[key]}")
    if isinstance(call.func, ast.Attribute) and call.func.attr in METHODS:
        yield Finding(call.lineno, f".{call.func.attr}()")


def _value(node: ast.AST, names: dict[str, str]) -> object:
    """A constant, or the dotted name of what is no constant."""
    return node.value if isinstance(node, ast.Constant) else _dotted(node, names) or ast.unparse(node)
