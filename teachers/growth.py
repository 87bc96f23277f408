"""A deeper network that begins as a shallower one: what teaches the shallow one need not be taught again.

Source: depth is added as blocks that begin as the identity (Chen et al., Net2Net, arXiv 1511.05641, section 2.3), which
a new block of ``IResNet`` is. Deviation: they come behind a stage's last block, and no weight of theirs is copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from teachers.iresnet import IResNet
from teachers.weights import Weights, load_into, named_for

_BLOCK = re.compile(r"layer(\d+)\.(\d+)\.")


def grow_into(network: IResNet, shallow: Weights) -> None:
    """Fill ``network`` with the weights of one with as many blocks a stage or fewer; it then says what that one says.

    Raises UserError where a weight fits neither by name nor by shape, or is missing from a block that both have.
    """
    shallow = named_for(network.state_dict(), shallow)
    known = _blocks(shallow.tensors)
    fresh = {key: value for key, value in network.state_dict().items() if (block := _block(key)) and block not in known}
    load_into(network, Weights(shallow.path, {**shallow.tensors, **fresh}))


def _blocks(keys: Iterable[str]) -> set[tuple[str, str]]:
    return {block for key in keys if (block := _block(key))}


def _block(key: str) -> tuple[str, str] | None:
    """Stage and number of the block that a weight belongs to."""
    found = _BLOCK.match(key)
    return (found[1], found[2]) if found else None
