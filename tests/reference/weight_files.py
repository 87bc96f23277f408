"""Weights files of every kind, full-size and without values: names and shapes are all that recognition sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from distill.config.build import build
from reference.public_attention import CavafaceAttention, FaceXZooAttention
from reference.public_ir import PublicIR
from reference.public_polyface import EfficientPolyFace

CONF = Path(__file__).parents[2] / "conf"
UNITS = {"r50": [3, 4, 14, 3], "r100": [3, 13, 30, 3], "r152": [3, 8, 36, 3]}


def configured(group: str, name: str, **options: Any) -> Callable[[], nn.Module]:
    """The network of a configuration, with other options."""

    def make() -> nn.Module:
        node = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())["network"]
        return build({**node, **options}, f"{group}.network")

    return make


FILES: Mapping[str, tuple[Callable[[], nn.Module], str]] = {
    # name: network, the options that load its weights
    "r50": (configured("teacher", "r50"), "teacher=r50 teacher.layout=null"),
    "r152": (configured("teacher", "r152"), "teacher=r152 teacher.layout=null"),
    "r152 with gates": (
        configured("teacher", "r152", se=True),
        "teacher=r152 teacher.network.se=true teacher.layout=null",
    ),
    "r100 of AdaFace in our names": (
        configured("teacher", "r100", dialect="adaface"),
        "teacher=r100 +teacher.network.dialect=adaface teacher.layout=null",
    ),
    "deep r152": (
        configured("teacher", "r152", block="bottleneck"),
        "teacher=r152 teacher.network.block=bottleneck teacher.layout=null",
    ),
    "attention56": (configured("teacher", "attention56"), "teacher=attention56 teacher.layout=null"),
    "attention152": (configured("teacher", "attention152"), "teacher=attention152 teacher.layout=null"),
    "plain attention92": (
        configured("teacher", "attention92", units="ir"),
        "teacher=attention92 teacher.network.units=ir teacher.layout=null",
    ),
    "polyface": (configured("teacher", "polyface"), "teacher=polyface teacher.layout=null"),
    "video polyface": (
        configured("teacher", "polyface", blocks=[20, 30, 20]),
        "teacher=polyface_video teacher.layout=null",
    ),
    "shallow efficientnet": (
        configured("teacher", "efficient_shallow"),
        "teacher=efficient_shallow teacher.layout=null",
    ),
    "efficient30": (configured("teacher", "efficient30"), "teacher=efficient30 teacher.layout=null"),
    "vargnet": (configured("student", "vargnet"), "student=vargnet student.init=FILE"),
    "vargfacenet": (configured("student", "vargfacenet"), "student=vargfacenet student.init=FILE"),
    "mobilefacenet_512": (
        configured("student", "mobilefacenet_512"),
        "student=mobilefacenet_512 student.init=FILE",
    ),
    "FaceX-Zoo IR": (lambda: PublicIR("treb1en", UNITS["r50"]), "teacher=r50 teacher.layout=facexzoo"),
    "FaceX-Zoo IR-SE": (lambda: PublicIR("treb1en", UNITS["r152"], se=True), "teacher=r152 teacher.layout=facexzoo"),
    "cavaface IR": (lambda: PublicIR("cavaface", UNITS["r100"]), "teacher=r100 teacher.layout=cavaface"),
    "cavaface IR-SE 101": (
        lambda: PublicIR("cavaface", [3, 4, 23, 3], se=True),
        "teacher=r50 teacher.network.units=[3,4,23,3] teacher.layout=cavaface",
    ),
    "AdaFace IR-101": (lambda: PublicIR("adaface", UNITS["r100"]), "teacher=r100 teacher.layout=adaface"),
    "AdaFace IR-152": (lambda: PublicIR("adaface", UNITS["r152"], deep=True), "teacher=r152 teacher.layout=adaface"),
    "FaceX-Zoo attention": (lambda: FaceXZooAttention([1, 2, 3]), "teacher=attention92 teacher.layout=facexzoo"),
    "cavaface attention": (lambda: CavafaceAttention([1, 1, 1], False), "teacher=attention56 teacher.layout=cavaface"),
    "cavaface attention SE": (
        lambda: CavafaceAttention([1, 2, 3], True),
        "teacher=attention92 teacher.layout=cavaface",
    ),
    "EfficientPolyFace": (lambda: EfficientPolyFace([23, 38, 23]), "teacher=polyface teacher.layout=trojans"),
}


def empty(network: Callable[[], nn.Module], prefix: str = "") -> dict[str, Tensor]:
    """Tensors of the network's names and shapes that take no memory: each is one zero, expanded."""
    with torch.device("meta"):
        state = network().state_dict()
    return {prefix + name: torch.zeros(()).expand(value.shape) for name, value in state.items()}
