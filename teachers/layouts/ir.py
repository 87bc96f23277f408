"""Public weights of IR networks in the names of TreB1eN's InsightFace_Pytorch, which three others took over.

Sources: TreB1eN/InsightFace_Pytorch: model.py and data/data_pipe.py (its JPEG files have their channels swapped, so
that it trains on BGR); JDAI-CV/FaceX-Zoo: backbone/ResNets.py, data_processor/; cavalleria/cavaface:
backbone/resnet_irse.py, config.py; mk-minchul/AdaFace: net.py, inference.py. All blocks stand in one list there, and
the number of a stage follows from the widths. cavaface and AdaFace end in a norm without scale and offset. All but
cavaface divide the embedding by its length; ours is the one before that.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import groupby

from distill.types import Preprocessing
from teachers.layouts.layout import Layout, Options, Pairs, Seen, Shapes, count, joined, width

STAGES = 4
ENDS = (
    ("conv1", "input_layer.0"),
    ("bn1", "input_layer.1"),
    ("prelu", "input_layer.2"),
    ("bn2", "output_layer.0"),
    ("fc", "output_layer.3"),
    ("features", "output_layer.4"),
)
SHORTCUT = (("downsample.0", "shortcut_layer.0"), ("downsample.1", "shortcut_layer.1"))
PLAIN = (
    ("bn1", "res_layer.0"),
    ("conv1", "res_layer.1"),
    ("prelu", "res_layer.2"),
    ("conv2", "res_layer.3"),
    ("bn3", "res_layer.4"),
    ("se.conv1", "res_layer.5.fc1"),
    ("se.conv2", "res_layer.5.fc2"),
    *SHORTCUT,
)
"""The basic block without a norm between its first convolution and its PReLU."""
GATE = (("se.conv1", "res_layer.se_block.fc1"), ("se.conv2", "res_layer.se_block.fc2"))
NORMED = (
    ("bn1", "res_layer.0"),
    ("conv1", "res_layer.1"),
    ("bn2", "res_layer.2"),
    ("prelu", "res_layer.3"),
    ("conv2", "res_layer.4"),
    ("bn3", "res_layer.5"),
    *GATE,
    *SHORTCUT,
)
"""AdaFace's basic block."""
BOTTLENECK = (
    ("bn1", "res_layer.0"),
    ("conv1", "res_layer.1"),
    ("bn2", "res_layer.2"),
    ("prelu", "res_layer.3"),
    ("conv2", "res_layer.4"),
    ("bn3", "res_layer.5"),
    ("prelu2", "res_layer.6"),
    ("conv3", "res_layer.7"),
    ("bn4", "res_layer.8"),
    *GATE,
    *SHORTCUT,
)
"""AdaFace's bottleneck block."""
NOT_AFFINE = frozenset({"features.weight", "features.bias"})


def below(ours: str, theirs: str, pairs: Pairs) -> Iterator[tuple[str, str]]:
    """The pairs of a block that has these names in its network."""
    return ((f"{ours}.{a}", f"{theirs}.{b}") for a, b in pairs)


def _modules(options: Options, block: Pairs | None = None) -> Iterator[tuple[str, str]]:
    yield from ENDS
    table = block or (BOTTLENECK if options.get("block") == "bottleneck" else NORMED)
    places = [f"layer{stage}.{i}" for stage, units in enumerate(options["units"], 1) for i in range(units)]
    for flat, place in enumerate(places):
        yield from below(place, f"body.{flat}", table)


def _read(shapes: Shapes, whose: str, inner_norm: bool, affine: bool, more: str = "") -> Seen | None:
    """None for another dialect: one with or without inner norms, with or without a scale in the last norm."""
    if ("body.0.res_layer.2.bias" in shapes, "output_layer.4.weight" in shapes) != (inner_norm, affine):
        return None
    bottleneck = "body.0.res_layer.7.weight" in shapes
    last_norm = 8 if bottleneck else 5 if inner_norm else 4
    blocks = range(count(shapes, "body.{}.res_layer.0.weight"))
    # the blocks of a stage have its width in common
    units = [
        len(list(run)) for _, run in groupby(width(shapes, f"body.{i}.res_layer.{last_norm}.weight") for i in blocks)
    ]
    if len(units) != STAGES:
        return None
    se = any(f"body.0.{theirs}.weight" in shapes for _, theirs in (GATE[0], PLAIN[5]))
    options = {"units": units, "se": se, "embedding_dim": width(shapes, "output_layer.3.weight")}
    options["dialect"] = "adaface" if inner_norm else "facexzoo"
    options["block"] = "bottleneck" if bottleneck else "basic"
    kind = "bottleneck IR" if bottleneck else "IR"
    return Seen(options, f"{whose} {kind}{'-SE' if se else ''} {joined(units)}", more)


def _plain(name: str, source: str, read: partial[Seen | None], preprocessing: Preprocessing) -> Layout:
    """A layout of networks without inner norms."""
    return Layout(
        name=name,
        network="IResNet",
        mark=MARK,
        read=read,
        source=source,
        preprocessing=preprocessing,
        modules=partial(_modules, block=PLAIN),
        fixed={"dialect": "facexzoo"},
        absent=frozenset() if read.keywords["affine"] else NOT_AFFINE,
    )


MARK = "input_layer.0.weight"
HALF = (127.5, 127.5, 127.5)
"""Mean and std of the code that maps pixels to [-1, 1]."""
EITHER = "(teacher.layout=treb1en if it is TreB1eN's)"
"""Nothing in a file tells FaceX-Zoo's networks from TreB1eN's."""

IR_LAYOUTS = (
    _plain(
        "facexzoo",
        "JDAI-CV/FaceX-Zoo: backbone/ResNets.py",
        partial(_read, whose="FaceX-Zoo's", inner_norm=False, affine=True, more=EITHER),
        Preprocessing("bgr"),
    ),
    _plain(
        "treb1en",
        "TreB1eN/InsightFace_Pytorch: model.py",
        partial(_read, whose="TreB1eN's", inner_norm=False, affine=True),
        Preprocessing("bgr", std=HALF),
    ),
    _plain(
        "cavaface",
        "cavalleria/cavaface: backbone/resnet_irse.py",
        partial(_read, whose="cavaface's", inner_norm=False, affine=False),
        Preprocessing(std=HALF),
    ),
    Layout(
        name="adaface",
        network="IResNet",
        mark=MARK,
        read=partial(_read, whose="AdaFace's", inner_norm=True, affine=False),
        source="mk-minchul/AdaFace: net.py",
        preprocessing=Preprocessing("bgr", std=HALF),
        modules=_modules,
        fixed={"dialect": "adaface"},
        absent=NOT_AFFINE,
    ),
)
