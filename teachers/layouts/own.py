"""The networks of this project as their own names and shapes show them, for files that stand in a wrong place.

IResNet's names are those of InsightFace's arcface_torch.
"""

from __future__ import annotations

from teachers.layouts.attention import depth_of
from teachers.layouts.layout import Seen, Shapes, WeightKind, count, joined, width


def _ir(shapes: Shapes) -> Seen | None:
    units = [count(shapes, f"layer{stage}.{{}}.bn1.weight") for stage in (1, 2, 3, 4)]
    if 0 in units or "fc.weight" not in shapes:
        return None
    bottleneck = "layer1.0.conv3.weight" in shapes
    se = "layer1.0.se.conv1.weight" in shapes
    if "layer1.0.bn2.weight" not in shapes:
        dialect = "facexzoo"
    elif "layer1.0.downsample.0.weight" not in shapes or (se and "layer1.0.se.conv1.bias" not in shapes):
        dialect = "adaface"
    else:
        dialect = "insightface"
    options = {"units": units, "block": "bottleneck" if bottleneck else "basic", "se": se, "dialect": dialect}
    options["embedding_dim"] = width(shapes, "fc.weight")
    plain = dialect == "insightface" and not bottleneck and not se
    whose = "InsightFace's (arcface_torch)" if plain else "this project's"
    return Seen(options, f"{whose} {'bottleneck ' if bottleneck else ''}IR{'-SE' if se else ''} {joined(units)}")


def _attention(shapes: Shapes) -> Seen | None:
    # the first block of a stage is a unit
    modules = [count(shapes, f"stage{stage}.{{}}.mask.0.weight", 1) for stage in (1, 2, 3)]
    if "fc.weight" not in shapes:
        return None
    if "stem.2.weight" not in shapes:
        units = "bottleneck"
    else:
        units = "ir_se" if "stage1.0.se.conv1.weight" in shapes else "ir"
    options = {"modules": modules, "units": units, "embedding_dim": width(shapes, "fc.weight")}
    return Seen(options, f"this project's {depth_of(modules)}")


def _polyface(shapes: Shapes) -> Seen | None:
    if "fc.weight" not in shapes:
        return None
    blocks = [count(shapes, f"stage{stage}.{{}}.joint.0.weight") for stage in (2, 3, 4)]
    options = {"blocks": blocks, "embedding_dim": width(shapes, "fc.weight")}
    return Seen(options, f"this project's PolyFace {joined(blocks)}")


def _efficient(shapes: Shapes) -> Seen | None:
    if "fc.weight" not in shapes:
        return None
    rows = [count(shapes, f"rows.{i}.{{}}.body.0.weight") for i in range(count(shapes, "rows.{}.0.body.0.weight"))]
    # B0 begins with a depthwise convolution
    depthwise = shapes["rows.0.0.body.0.weight"][1:2] == (1,)
    options = {"rows": rows, "design": "b0" if depthwise else "v2s", "embedding_dim": width(shapes, "fc.weight")}
    shipped = tuple(rows) in EFFICIENT_ROWS.values() and width(shapes, "last.0.weight") == EFFICIENT_LAST
    more = "" if shipped else "with the teacher.network.width and teacher.network.depth that it was trained with"
    return Seen(options, f"this project's EfficientNet {joined(rows)}", more)


def _vargnet(shapes: Shapes) -> Seen | None:
    if "head.10.weight" not in shapes:
        return None
    published = shapes.get("head.0.weight", ())[1:2] == (VARGFACENET_WIDTH,)
    name = "vargfacenet" if published else "vargnet"
    return Seen({}, f"a student, {name}", f"student={name} {STUDENT_MORE}")


def _mobilefacenet(shapes: Shapes) -> Seen | None:
    if "head.7.weight" not in shapes:
        return None
    name = "mobilefacenet_512" if width(shapes, "head.7.weight") == 512 else "mobilefacenet"
    return Seen({}, f"a student, {name}", f"student={name} {STUDENT_MORE}")


VARGFACENET_WIDTH = 320
EFFICIENT_ROWS = {"efficient30": (5, 9, 9, 13, 20, 32), "efficient_shallow": (2, 4, 4, 6, 9, 15)}
"""Blocks of the rows in the configurations."""
EFFICIENT_LAST = 1896
"""Channels in front of the head in both."""
STUDENT_MORE = "student.init=FILE, or its student.onnx with teacher=onnx teacher.weights=FILE.onnx"

OWN_KINDS = (
    WeightKind(network="IResNet", mark="layer1.0.prelu.weight", read=_ir),
    WeightKind(network="AttentionNet", mark="stage4.2.bn1.weight", read=_attention),
    WeightKind(network="PolyFace", mark="reduce_a.branches.1.0.weight", read=_polyface),
    WeightKind(network="EfficientNet", mark="rows.0.0.body.0.weight", read=_efficient),
    WeightKind(network="VarGNet", mark="stage1.body.0.0.weight", read=_vargnet),
    WeightKind(network="MobileFaceNet", mark="stage2.0.body.3.weight", read=_mobilefacenet),
)
