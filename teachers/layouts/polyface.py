"""Public weights of the Trojans' EfficientPolyFace.

Source: liuyuisanai/trojans-face-recognizer: EfficientPolyFace/EfficientPolyFace.py, test_tp.py. Its embedding has 256
values, is taken before the last norm, and read from BGR bytes as value * 3.2 / 255 - 1.6.
"""

from __future__ import annotations

from collections.abc import Iterator

from distill.types import Preprocessing
from teachers.layouts.ir import NOT_AFFINE, below
from teachers.layouts.layout import Layout, Options, Pairs, Seen, Shapes, count, joined, width

CONV = (("0", "conv"), ("1", "bn"))
"""A convolution and its norm."""
STEM = (
    *((f"stem.{i}", f"stem.step1.stem.{i}") for i in range(3)),
    ("stem.3.branches.1", "stem.step1.branch1"),
    *((f"stem.4.branches.0.{i}", f"stem.step2.branch0.{i}") for i in range(2)),
    *((f"stem.4.branches.1.{i}", f"stem.step2.branch1.{i}") for i in range(4)),
    ("stem.5.branches.1", "stem.step3.branch1"),
)
REDUCTIONS = (
    *((f"reduce_a.branches.0.{i}", f"a2b.branch0.{i}") for i in range(3)),
    ("reduce_a.branches.1", "a2b.branch1"),
    *((f"reduce_b.branches.0.{i}", f"b2c.branch0.{i}") for i in range(3)),
    *((f"reduce_b.branches.{k}.{i}", f"b2c.branch{k}.{i}") for k in (1, 2) for i in range(2)),
)
DEEP = tuple((f"branches.branches.0.{i}", f"branch0.{i}") for i in range(3))
BRANCHES = {
    "a10": (
        *DEEP,
        *((f"branches.branches.1.{i}", f"branch1.{i}") for i in range(2)),
        ("branches.branches.2", "branch2"),
    ),
    "b20": (*DEEP, ("branches.branches.1", "branch1")),
    "c10": (*DEEP, ("branches.branches.1", "branch1")),
}
"""The convolutions of the blocks A, B and C."""
JOINT = (("joint.0", "stem.0"), ("joint.1", "stem.1"))
HEAD = (("norm", "fc.bn1"), ("fc", "fc.fc"), ("features", "fc.bn2"))


def _layers(convolutions: Pairs) -> Iterator[tuple[str, str]]:
    for ours, theirs in convolutions:
        yield from below(ours, theirs, CONV)


def _modules(options: Options) -> Iterator[tuple[str, str]]:
    yield from _layers((*STEM, *REDUCTIONS))
    for stage, (theirs, many) in enumerate(zip(BRANCHES, options["blocks"], strict=True), 2):
        for i in range(many):
            yield from below(f"stage{stage}.{i}", f"{theirs}.{i}", (*_layers(BRANCHES[theirs]), *JOINT))
    yield from HEAD


def _read(shapes: Shapes) -> Seen | None:
    blocks = [count(shapes, f"{theirs}.{{}}.stem.0.weight") for theirs in BRANCHES]
    if "fc.fc.weight" not in shapes:
        return None
    options = {"blocks": blocks, "embedding_dim": width(shapes, "fc.fc.weight"), **APPLIED}
    return Seen(options, f"the Trojans' EfficientPolyFace {joined(blocks)}")


APPLIED: Options = {"feature": "raw", "keep": 0.8}

POLYFACE_LAYOUTS = (
    Layout(
        name="trojans",
        network="PolyFace",
        mark="a2b.branch1.conv.weight",
        read=_read,
        source="liuyuisanai/trojans-face-recognizer: EfficientPolyFace/EfficientPolyFace.py",
        preprocessing=Preprocessing("bgr", std=(79.6875, 79.6875, 79.6875)),
        modules=_modules,
        fixed=APPLIED,
        absent=NOT_AFFINE,
    ),
)
