"""Public weights of residual attention networks: FaceX-Zoo's bottlenecks and cavaface's IR units.

Sources: JDAI-CV/FaceX-Zoo: backbone/AttentionNets.py; cavalleria/cavaface: backbone/resattnet.py, common.py. Both
number the blocks of a mask by their order in the code, so that one number means another block in each stage. Every
FaceX-Zoo block has a projection, also where its sum does not read it. cavaface's first stage computes (1 + M) + T.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from distill.types import Preprocessing
from teachers.layouts.ir import HALF, NOT_AFFINE, PLAIN, below
from teachers.layouts.layout import Layout, Options, Pairs, Seen, Shapes, count, width

BLOCK = (("bn1", "bn1"), ("conv1", "conv1"), ("bn2", "bn2"), ("conv2", "conv2"), ("bn3", "bn3"), ("conv3", "conv3"))
"""FaceX-Zoo's block where the shape stays."""
PROJECTING = (*BLOCK, ("projection", "conv4"))
UNUSED = re.compile(r"\.conv4\.weight$")

ENDS_OF_MODULE = (
    ("first", "first_residual_blocks"),
    ("trunk.0", "trunk_branches.0"),
    ("trunk.1", "trunk_branches.1"),
    ("last", "last_blocks"),
)
MASKS: Mapping[int, Pairs] = {
    1: (
        ("hourglass.down", "softmax1_blocks"),
        ("hourglass.skip", "skip1_connection_residual_block"),
        ("hourglass.inner.down", "softmax2_blocks"),
        ("hourglass.inner.skip", "skip2_connection_residual_block"),
        ("hourglass.inner.inner.down", "softmax3_blocks.0"),
        ("hourglass.inner.inner.up", "softmax3_blocks.1"),
        ("hourglass.inner.up", "softmax4_blocks"),
        ("hourglass.up", "softmax5_blocks"),
    ),
    2: (
        ("hourglass.down", "softmax1_blocks"),
        ("hourglass.skip", "skip1_connection_residual_block"),
        ("hourglass.inner.down", "softmax2_blocks.0"),
        ("hourglass.inner.up", "softmax2_blocks.1"),
        ("hourglass.up", "softmax3_blocks"),
    ),
    3: (("hourglass.down", "softmax1_blocks.0"), ("hourglass.up", "softmax1_blocks.1")),
}
"""The units of a mask by the stage of its module: three, two and one halvings."""
HEADS = {1: "softmax6_blocks", 2: "softmax4_blocks", 3: "softmax2_blocks"}
"""The end of a mask: norms 0 and 3, convolutions 2 and 5."""
RENAMED = {
    "first_residual_blocks": "share_residual_block",
    "last_blocks": "last_block",
    "skip1_connection_residual_block": "skip_connect1",
    "skip2_connection_residual_block": "skip_connect2",
    **{f"softmax{i}_blocks": f"mask_block{i}" for i in range(1, 7)},
}
"""cavaface's names in its first stage; the other two have those of FaceX-Zoo's origin."""


def _module(stage: int, block: Pairs, renamed: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """The pairs of an attention module with units of this ``block``."""

    def name(theirs: str) -> str:
        first, dot, rest = theirs.partition(".")
        return (renamed or {}).get(first, first) + dot + rest

    for ours, theirs in (*ENDS_OF_MODULE, *MASKS[stage]):
        yield from below(ours, name(theirs), block)
    yield from ((f"mask.{i}", name(f"{HEADS[stage]}.{i}")) for i in (0, 2, 3, 5))


def _places(modules: Sequence[int]) -> Iterator[tuple[str, int, bool]]:
    """Our units and modules in their order: name, stage, and whether it is a module."""
    for stage, many in enumerate(modules, 1):
        yield f"stage{stage}.0", stage, False
        yield from ((f"stage{stage}.{i}", stage, True) for i in range(1, many + 1))
    yield from ((f"stage4.{i}", 4, False) for i in range(3))


def depth_of(modules: Sequence[int]) -> str:
    """attention-92: the paper's way of counting layers."""
    return f"attention-{20 + 12 * sum(modules)}"


def _facexzoo(options: Options) -> Iterator[tuple[str, str]]:
    yield from (("stem.0", "conv1.0"), ("stem.1", "conv1.1"), ("fc", "output_layer.1"), ("features", "output_layer.2"))
    for flat, (place, stage, is_module) in enumerate(_places(options["modules"])):
        unit = PROJECTING if place.endswith(".0") else BLOCK
        yield from below(place, f"attention_body.{flat}", _module(stage, BLOCK) if is_module else unit)


def _read_facexzoo(shapes: Shapes) -> Seen | None:
    counts: list[int] = []
    for i in itertools.count():
        if counts and f"attention_body.{i}.trunk_branches.0.bn1.weight" in shapes:
            counts[-1] += 1
        elif f"attention_body.{i}.bn1.weight" in shapes:
            counts.append(0)
        else:
            break
    # one unit before the modules of each stage, three at the end
    if len(counts) != 6 or any(counts[3:]):
        return None
    options = {"modules": counts[:3], "units": "bottleneck", "embedding_dim": width(shapes, "output_layer.1.weight")}
    return Seen(options, f"FaceX-Zoo's {depth_of(counts[:3])}")


def _cavaface(options: Options) -> Iterator[tuple[str, str]]:
    yield from (("stem.0", "input_layer.0"), ("stem.1", "input_layer.1"), ("stem.2", "input_layer.2"))
    yield from (("norm", "output_layer.0"), ("fc", "output_layer.3"), ("features", "output_layer.4"))
    for place, stage, is_module in _places(options["modules"]):
        number = int(place.rpartition(".")[2])
        if is_module:
            theirs = f"attention_module{stage}" + (f"_{number}" if number > 1 else "")
            yield from below(place, theirs, _module(stage, PLAIN, RENAMED if stage == 1 else None))
        else:
            yield from below(place, f"residual_block{stage + number}", PLAIN)


def _read_cavaface(shapes: Shapes) -> Seen | None:
    if "residual_block6.res_layer.0.weight" not in shapes:
        return None
    unit = "trunk_branches.0.res_layer.0.weight"
    modules = [
        # the second module of a stage is attention_module2_2
        (f"attention_module{stage}.{unit}" in shapes) + count(shapes, f"attention_module{stage}_{{}}.{unit}", 2)
        for stage in (1, 2, 3)
    ]
    se = "residual_block1.res_layer.5.fc1.weight" in shapes
    options = {"modules": modules, "units": "ir_se" if se else "ir", **ADDED_MASK}
    options["embedding_dim"] = width(shapes, "output_layer.3.weight")
    return Seen(options, f"cavaface's {depth_of(modules)} of {'IR-SE' if se else 'IR'} units")


ADDED_MASK: Options = {"added_mask": True}

ATTENTION_LAYOUTS = (
    Layout(
        name="facexzoo",
        network="AttentionNet",
        mark="attention_body.0.conv1.weight",
        read=_read_facexzoo,
        source="JDAI-CV/FaceX-Zoo: backbone/AttentionNets.py",
        preprocessing=Preprocessing("bgr"),
        modules=_facexzoo,
        fixed={"units": "bottleneck"},
        unused=UNUSED,
    ),
    Layout(
        name="cavaface",
        network="AttentionNet",
        mark="residual_block1.res_layer.0.weight",
        read=_read_cavaface,
        source="cavalleria/cavaface: backbone/resattnet.py",
        preprocessing=Preprocessing(std=HALF),
        modules=_cavaface,
        fixed=ADDED_MASK,
        absent=NOT_AFFINE,
    ),
)
