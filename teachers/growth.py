"""Growth: the weights of a shallower network make a deeper one of the same family with the same outputs.

A new block starts as its shortcut, because its last norm's scale is zero (Goyal et al., arXiv 1706.02677, section 5.1);
Net2Net (arXiv 1511.05641) grows by copied layers instead. Most samples can so be seen by a network that costs a
fraction of the deep one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import ClassVar

from distill.types import FaceNetwork
from teachers.weights import WeightFile, load_into, named_for


class Growable(FaceNetwork):
    """A network of stages, to the end of each of which blocks can be added.

    ``block_name`` matches the name of a weight in a block; its two groups are the stage and the number of the block.
    """

    block_name: ClassVar[re.Pattern[str]]

    def absorb(self, added: Counter[str]) -> None:
        """Make the layers behind ``added`` new blocks of each stage expect what these give; nothing by default."""


def grow_into(network: Growable, shallow: WeightFile) -> None:
    """Fill ``network`` with the weights of one with as many blocks per stage or fewer; the outputs are then the same.

    Raises UserError where a weight fits neither by name nor by shape, or is missing from a block that both have.
    """
    state = network.state_dict()
    known = _blocks(network, named_for(state, shallow).tensors)
    fresh = [key for key in state if (block := _block(network, key)) and block not in known]
    load_into(network, shallow, fresh=fresh)
    network.absorb(Counter(stage for stage, _ in _blocks(network, fresh)))


def _blocks(network: Growable, keys: Iterable[str]) -> set[tuple[str, str]]:
    return {block for key in keys if (block := _block(network, key))}


def _block(network: Growable, key: str) -> tuple[str, str] | None:
    """Stage and number of the block that a weight belongs to."""
    found = network.block_name.match(key)
    return (found[1], found[2]) if found else None
