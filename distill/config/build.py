"""The one place that turns configuration into objects, after holding every option against its constructor.

Hydra checks neither the names nor the types of a target's options before the call, and would call anything that can
be imported. Here a target has to be a class of this project or of ``torch.nn``, and a typo names its neighbour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.errors import InstantiationException

from distill.config.signatures import signature
from distill.config.suggest import did_you_mean
from distill.errors import UserError
from distill.files.plain import fits, spell


def build(node: Mapping[str, Any], where: str, /, **objects: Any) -> Any:
    """Construct ``node['_target_']`` from its options and from ``objects`` that only the program knows.

    ``where`` is the node's place in the configuration, for messages. Raises UserError for an option that the
    constructor does not have, has with another type, or needs and was not given.
    """
    from hydra.utils import instantiate  # slow to import, and needed only where something is built

    check_targets(node, where)
    parameters = signature(node["_target_"], where).parameters
    absent = [name for name, p in parameters.items() if p.required and name not in node and name not in objects]
    if absent:
        raise UserError(f"{where} needs {absent[0]!r}: {node['_target_']} has no default for it")
    try:
        # The objects go in by an ordinary call: through instantiate, dataclasses among them would become dicts.
        return instantiate(dict(node), _partial_=True, _convert_="all")(**objects)
    except InstantiationException as error:
        raise error.__cause__ or error from None


def target_class(node: Mapping[str, Any], where: str) -> type:
    """The class that a node names, after the checks of ``build``."""
    from hydra.utils import get_class

    check_targets(node, where)
    return get_class(node["_target_"])


def check_targets(node: Any, where: str = "") -> None:
    """Check every ``_target_`` in a tree of dicts and lists: allowed, there, its options known and of its types."""
    for place, target_node in _targets(node, where):
        known = signature(target_node["_target_"], place).parameters
        for option, value in target_node.items():
            if option == "_target_":
                continue
            if option not in known:
                raise UserError(f"{place} has no option {option!r}{did_you_mean(option, known)}")
            if not fits(value, known[option].annotation):
                raise UserError(f"{place}.{option} is {value!r}; expected {spell(known[option].annotation)}")


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
