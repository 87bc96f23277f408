"""Finds a network's weights in a file: the prefix of their names, whatever wrapped the network when it was saved.

DDP puts ``module.`` before every name, torch.compile ``_orig_mod.``, Lightning the attribute's name; trainers keep the
network in a dict beside their optimiser, the average of its weights and their head. A nested dict is one more prefix
(``names_of``), so one search finds the network in all of them: the prefix below which most of its names are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

UNREAD = "num_batches_tracked"
"""Suffix of names that old PyTorch did not write and nothing here reads."""

_AVERAGE = ("ema", "average", "swa", "shadow")
"""Words in the names of moving averages of the weights."""


@dataclass(frozen=True)
class Place:
    """A network's weights in a file: ``tensors`` by the network's names below ``prefix``.

    ``missing`` are the network's names that the file lacks, ``surplus`` names within its submodules that it does not
    have; ``others`` are full names beside the network, such as a head's or an optimiser's. ``copies`` are the
    prefixes of further networks of the same names and shapes with other values.
    """

    prefix: str
    tensors: Mapping[str, Tensor]
    missing: list[str]
    surplus: list[str]
    others: list[str]
    copies: list[str]


def names_of(content: Mapping, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of nested dicts by dotted names; everything else in them is left out."""
    found: dict[str, Tensor] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            found |= names_of(value, f"{prefix}{key}.")
        elif isinstance(value, Tensor):
            found[f"{prefix}{key}"] = value
    return found


def place_of(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> Place:
    """The place among ``tensors`` of the network with the state dict ``expected``, perhaps incomplete."""
    # each name votes for every prefix that leaves one of the network's names
    counts = Counter(name[:cut] for name in tensors for cut in _cuts(name) if name[cut:] in expected)
    complete = [prefix for prefix in counts if not _missing(expected, tensors, prefix)]
    fits = [prefix for prefix in complete if _fits(expected, tensors, prefix)] or complete
    # no average, then most names, then the shortest prefix
    best = min(fits or counts or [""], key=lambda prefix: (is_average(prefix), -counts[prefix], len(prefix)))
    own = {name for name in expected if best + name in tensors}
    parts = {name.partition(".")[0] for name in expected}
    rest = [name for name in tensors if not (name.startswith(best) and name.removeprefix(best) in own)]
    surplus = [n for n in rest if n.startswith(best) and n.removeprefix(best).partition(".")[0] in parts]
    return Place(
        best,
        {name: tensors[best + name] for name in expected if name in own},
        _missing(expected, tensors, best),
        [name.removeprefix(best) for name in surplus],
        [name for name in rest if name not in set(surplus)],
        [prefix for prefix in fits if prefix != best and not _same(own, tensors, best, prefix)],
    )


def is_ambiguous(place: Place) -> bool:
    """Whether another copy is as likely to be the wanted one; averages rank behind the weights themselves."""
    return any(is_average(prefix) == is_average(place.prefix) for prefix in place.copies)


def _cuts(name: str) -> list[int]:
    """Positions where a prefix of a dotted name may end."""
    return [0, *(at + 1 for at, letter in enumerate(name) if letter == ".")]


def _missing(expected: Collection[str], tensors: Mapping[str, Tensor], prefix: str) -> list[str]:
    return [name for name in expected if prefix + name not in tensors and not name.endswith(UNREAD)]


def _fits(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], prefix: str) -> bool:
    found = ((tensors.get(prefix + name), value) for name, value in expected.items())
    return all(tensor is None or tensor.shape == value.shape for tensor, value in found)


def _same(names: Collection[str], tensors: Mapping[str, Tensor], one: str, other: str) -> bool:
    pairs = ((tensors[one + name], tensors.get(other + name)) for name in names)
    return all(second is None or torch.equal(first, second) for first, second in pairs)


def is_average(prefix: str) -> bool:
    return any(word in part for part in prefix.lower().replace(".", "_").split("_") for word in _AVERAGE)
