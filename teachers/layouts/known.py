"""All kinds of weights files: which layout a name stands for, and what a file looks like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from distill.errors import UserError
from teachers.layouts.attention import ATTENTION_LAYOUTS
from teachers.layouts.ir import IR_LAYOUTS
from teachers.layouts.layout import Layout, Options, Seen, Shapes, WeightKind
from teachers.layouts.own import EFFICIENT_ROWS, OWN_KINDS
from teachers.layouts.polyface import POLYFACE_LAYOUTS
from teachers.weight_names import is_average

LAYOUTS: tuple[Layout, ...] = (*IR_LAYOUTS, *ATTENTION_LAYOUTS, *POLYFACE_LAYOUTS)
KINDS: tuple[WeightKind, ...] = (*LAYOUTS, *OWN_KINDS)

DEPTH_OPTION = {"IResNet": "units", "AttentionNet": "modules", "PolyFace": "blocks", "EfficientNet": "rows"}
"""What counts the blocks of each class: an option, but for EfficientNet, whose option scales them."""
NAMED: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    # the first of each class stands for the depths without a name
    "IResNet": {
        "r50": (3, 4, 14, 3),
        "r18": (2, 2, 2, 2),
        "r100": (3, 13, 30, 3),
        "r152": (3, 8, 36, 3),
        "r124": (3, 13, 40, 5),
    },
    "AttentionNet": {"attention56": (1, 1, 1), "attention92": (1, 2, 3), "attention152": (3, 4, 4)},
    "PolyFace": {"polyface": (23, 38, 23), "polyface_video": (20, 30, 20), "polyface_shallow": (5, 8, 5)},
    "EfficientNet": EFFICIENT_ROWS,
}
"""The names under ``teacher=`` with the depths of their configurations."""
USUAL: Options = {
    "block": "basic",
    "se": False,
    "dialect": "insightface",
    "units": "ir_se",
    "design": "v2s",
    "embedding_dim": 512,
}
"""What a user need not give for a file of our own."""
NOT_LISTED = {"dialect"}
"""Options that no configuration lists, so that giving them takes a plus."""


@dataclass(frozen=True)
class Found:
    """What a weights file looks like."""

    kind: WeightKind
    seen: Seen

    @property
    def advice(self) -> str:
        """The options that load the file."""
        if self.kind.network not in NAMED:
            return self.seen.more
        name, *depth = self._name()
        if isinstance(self.kind, Layout):
            chosen = [f"teacher.layout={self.kind.name}"]
        else:
            chosen = [*self._unusual(), "teacher.layout=null"]
        return " ".join([f"teacher={name}", *depth, *chosen, *filter(None, [self.seen.more])])

    def _name(self) -> Iterator[str]:
        """The teacher's name, and its depth as an option where that has no name."""
        named = NAMED[self.kind.network]
        option = DEPTH_OPTION[self.kind.network]
        depth = self.seen.options[option]
        if (name := next((n for n, known in named.items() if known == tuple(depth)), None)) is not None:
            yield name
            return
        yield next(iter(named))
        if option != "rows":
            yield f"teacher.network.{option}={list(depth)}".replace(" ", "")

    def _unusual(self) -> Iterator[str]:
        for option, value in self.seen.options.items():
            if option != DEPTH_OPTION[self.kind.network] and value != USUAL[option]:
                plus = "+" if option in NOT_LISTED else ""
                yield f"{plus}teacher.network.{option}={str(value).lower()}"


def layout_for(name: str, network: str) -> Layout:
    """The layout of this name for one of our classes; UserError where that class has none of the name."""
    if (found := next((one for one in LAYOUTS if (one.name, one.network) == (name, network)), None)) is not None:
        return found
    fitting = [one.name for one in LAYOUTS if one.network == network]
    raise UserError(
        f"teacher.layout is {name}, which has no weights of {network}; expected "
        + (", ".join(fitting) + " or null" if fitting else "null")
    )


def recognise(tensors: Mapping[str, Tensor]) -> Found | None:
    """What weights of any file look like, by their names and shapes; None for those of an unknown network."""
    found = ((kind, read_as(kind, tensors)) for kind in KINDS)
    return next((Found(kind, seen) for kind, seen in found if seen is not None), None)


def read_as(kind: WeightKind, tensors: Mapping[str, Tensor]) -> Seen | None:
    """The network of this kind in a file, below any prefix; None where there is none."""
    marked = {n.removesuffix(kind.mark) for n in tensors if n == kind.mark or n.endswith(f".{kind.mark}")}
    for prefix in sorted(marked, key=lambda p: (is_average(p), len(p), p)):
        shapes: Shapes = {n.removeprefix(prefix): tuple(t.shape) for n, t in tensors.items() if n.startswith(prefix)}
        if (seen := kind.read(shapes)) is not None:
            return seen
    return None
