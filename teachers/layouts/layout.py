"""What a weights layout is: the names that other code gives to a network's weights, and what its code implies.

A layout is data: pairs of module names, ours and theirs, in which only the last part of a weight's name ("weight",
"running_mean") is not listed, because PyTorch gives it. Nothing here builds a network or reads a file, so every reader
of weights can ask.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from distill.types import Preprocessing

Shapes = Mapping[str, tuple[int, ...]]
"""The shapes of a network's weights by their names."""
Options = Mapping[str, Any]
"""Options of a network's constructor."""
Pairs = Iterable[tuple[str, str]]
"""Names of modules: ours, theirs."""


@dataclass(frozen=True)
class Seen:
    """What names and shapes say about a network: options of our class, and the network in words.

    ``more`` is what a user has to give besides, in words.
    """

    options: Options
    words: str
    more: str = ""


@dataclass(frozen=True)
class Names:
    """The names of one network's weights in a file.

    ``modules`` has theirs by ours; empty: the same names. Their files lack our weights named in ``absent``, which
    keep the values of a new network; no output depends on theirs that match ``unused``.
    """

    modules: Mapping[str, str] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    unused: re.Pattern[str] | None = None

    def theirs(self, ours: str) -> str:
        """The name in a file of the weight that our network calls ``ours``."""
        module, _, leaf = ours.rpartition(".")
        return f"{self.modules[module]}.{leaf}" if self.modules else ours

    def ignores(self, theirs: str) -> bool:
        return self.unused is not None and self.unused.search(theirs) is not None


OWN_NAMES = Names()


@dataclass(frozen=True, kw_only=True)
class WeightKind:
    """A kind of weights file. ``network`` is the name of our class, or of a student's.

    Each file of the kind has a weight named ``mark`` below some prefix; ``read`` tells the network from all shapes
    below the prefix, or None where the file is of another kind.
    """

    network: str
    mark: str
    read: Callable[[Shapes], Seen | None]


@dataclass(frozen=True, kw_only=True)
class Layout(WeightKind):
    """Public weights of one of our networks: ``teacher.layout=name``.

    ``modules`` gives the pairs for a network with these options; ``source`` is where the names are defined;
    ``preprocessing`` is what the code there feeds; ``fixed`` are options that all of its networks have.
    """

    name: str
    source: str
    preprocessing: Preprocessing
    modules: Callable[[Options], Pairs]
    fixed: Options = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    unused: re.Pattern[str] | None = None

    def names(self, options: Options) -> Names:
        """The names in a file of the network with these options."""
        return Names(dict(self.modules(options)), self.absent, self.unused)


def count(shapes: Shapes, name: str, first: int = 0) -> int:
    """How many weights there are of a ``name`` with a place "{}" for the numbers from ``first`` on."""
    return next(i for i in itertools.count() if name.format(first + i) not in shapes)


def width(shapes: Shapes, name: str) -> int:
    """The first size of a weight; 0 where it is missing."""
    return next(iter(shapes.get(name, ())), 0)


def joined(numbers: Iterable[int]) -> str:
    """3-8-36-3, as depths are written."""
    return "-".join(str(number) for number in numbers)
