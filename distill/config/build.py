"""The one place that turns configuration into objects, after holding every option against its constructor.

Hydra checks neither the names nor the types of a target's options before the call, and would call anything that can
be imported. Here a target has to be a class of this project or of ``torch.nn``, and a typo names its neighbour.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from distill.config.suggest import did_you_mean
from distill.errors import UserError
from distill.files.plain import fits, spell

ALLOWED = ("distill.", "teachers.", "torch.nn.")
"""Where targets may live: a run's stored configuration cannot name ``os.system``."""


def build(node: Mapping[str, Any], where: str, /, **objects: Any) -> Any:
    """Construct ``node['_target_']`` from its options and from ``objects`` that only the program knows.

    ``where`` is the node's place in the configuration, for messages. Raises UserError for an option that the
    constructor does not have, has with another type, or needs and was not given.
    """
    check_targets(node, where)
    target = _target(node, where)
    absent = [p for p in _required(target) if p not in node and p not in objects]
    if absent:
        raise UserError(f"{where} needs {absent[0]!r}: {node['_target_']} has no default for it")
    try:
        # The objects go in by an ordinary call: through instantiate, dataclasses among them would become dicts.
        return instantiate(dict(node), _partial_=True, _convert_="all")(**objects)
    except InstantiationException as error:
        raise error.__cause__ or error from None


def check_targets(node: Any, where: str = "") -> None:
    """Check every ``_target_`` in a tree of dicts and lists: allowed, there, its options known and of its types."""
    for place, target_node in _targets(node, where):
        target = _target(target_node, place)
        known = inspect.signature(target).parameters
        hints = get_type_hints(target.__init__)
        for option, value in target_node.items():
            if option == "_target_":
                continue
            if option not in known:
                raise UserError(f"{place} has no option {option!r}{did_you_mean(option, known)}")
            if not fits(value, hints.get(option, Any)):
                raise UserError(f"{place}.{option} is {value!r}; expected {spell(hints[option])}")


def _targets(node: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All nodes with a ``_target_`` in a tree, outermost first, each with its dotted path."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield where, node
        for key, value in node.items():
            yield from _targets(value, f"{where}.{key}" if where else str(key))
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for index, value in enumerate(node):
            yield from _targets(value, f"{where}[{index}]")


def _target(node: Mapping[str, Any], where: str) -> type:
    """The class that a node names."""
    return named_class(node["_target_"], where)


def named_class(path: Any, where: str) -> type:
    """The class at a dotted path, for the node at ``where``. Raises UserError for what may not be one, or is none."""
    if not isinstance(path, str) or not path.startswith(ALLOWED):
        raise UserError(f"{where}._target_ is {path!r}; expected a class in {', '.join(a[:-1] for a in ALLOWED)}")
    module_path, _, name = path.rpartition(".")
    try:
        module = import_module(module_path)
    except ModuleNotFoundError as error:
        if error.name is None or not module_path.startswith(error.name):
            raise
        raise UserError(f"{where}._target_ is {path!r}; there is no module {error.name}") from None
    found = vars(module).get(name)
    classes = [n for n, c in vars(module).items() if isinstance(c, type) and c.__module__.startswith(ALLOWED)]
    if name not in classes:
        raise UserError(f"{where}._target_ is {path!r}; no such class in {module_path}{did_you_mean(name, classes)}")
    assert isinstance(found, type)
    return found


def _required(target: type) -> list[str]:
    """The parameters of a constructor that have no default."""
    return [
        name
        for name, p in inspect.signature(target).parameters.items()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
