"""Every kind of weights is named wherever it stands by mistake, with the options that load it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import torch
import yaml
from torch import nn

from distill.config.build import build, target_class
from distill.config.groups import WeightLayout
from distill.errors import UserError
from distill.types import Preprocessing
from reference.weight_files import CONF, FILES, empty
from teachers.card import shipped_card
from teachers.draft import Draft
from teachers.iresnet import DialectName
from teachers.layouts.known import DEPTH_OPTION, KINDS, LAYOUTS, NAMED, USUAL, layout_for, recognise
from teachers.weights import WeightFile, load_into

TEACHERS = ("r18", "attention56", "polyface", "efficient30")
# of networks without memory
pytestmark = pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter:UserWarning")


def configuration(name: str) -> dict:
    return yaml.safe_load((CONF / "teacher" / f"{name}.yaml").read_text())


@cache
def own(name: str) -> nn.Module:
    with torch.device("meta"):
        return build(configuration(name)["network"], "teacher.network")


def load(name: str, layout: str | None, weights: WeightFile) -> None:
    """As ``teacher=name teacher.layout=layout`` does, without memory."""
    if layout is None:
        load_into(own(name), weights)
        return
    node = configuration(name)["network"]
    kind = target_class(node, "teacher.network")
    with torch.device("meta"):
        Draft(layout_for(layout, kind.__name__), kind, node, lambda o: build(o, "teacher.network")).filled(weights)


PLACES = [(name, None) for name in TEACHERS] + [
    ({"IResNet": "r18", "AttentionNet": "attention56", "PolyFace": "polyface"}[one.network], one.name)
    for one in LAYOUTS
]
FITS = {
    "attention56": ("attention56", None),
    "polyface": ("polyface", None),
    "efficient30": ("efficient30", None),
    "cavaface attention": ("attention56", "cavaface"),
    "EfficientPolyFace": ("polyface", "trojans"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_in_a_wrong_place_is_named_with_what_loads_it(name: str) -> None:
    network, advice = FILES[name]
    weights = WeightFile(Path("w.pth"), empty(network, "module."))
    for place in PLACES:
        if FITS.get(name) == place:
            continue
        with pytest.raises(UserError) as caught:
            load(*place, weights)
        line = str(caught.value)
        # nothing tells FaceX-Zoo's IR networks from TreB1eN's, so that the layout that was asked for is kept
        assert (advice.replace("facexzoo", "treb1en") if place[1] == "treb1en" and "IR" in name else advice) in line
        assert "\n" not in line
        assert line.startswith("w.pth ")


@pytest.mark.parametrize("name", FILES)
def test_the_advice_is_followed_to_a_network_that_takes_the_file(name: str) -> None:
    network, advice = FILES[name]
    weights = WeightFile(Path("w.pth"), empty(network))
    found = recognise(weights.tensors)
    assert found is not None
    assert found.advice.startswith(advice)
    if advice.startswith("student="):
        return
    words = dict(word.lstrip("+").split("=", 1) for word in advice.split())
    node = configuration(words["teacher"])["network"]
    node |= {k.rpartition(".")[2]: yaml.safe_load(v) for k, v in words.items() if k.startswith("teacher.network.")}
    kind = target_class(node, "teacher.network")
    with torch.device("meta"):
        if words["teacher.layout"] == "null":
            load_into(build(node, "teacher.network"), weights)
        else:
            layout = layout_for(words["teacher.layout"], kind.__name__)
            Draft(layout, kind, node, lambda o: build(o, "teacher.network")).filled(weights)


def test_an_unknown_file_is_counted_in_one_line() -> None:
    weights = WeightFile(Path("w.pth"), {f"body.{i}": torch.zeros(1) for i in range(5)})
    for place in PLACES:
        with pytest.raises(
            UserError, match=r"^w\.pth does not fit this network: \d+ keys are missing \(.*, 5 are surp"
        ):
            load(*place, weights)
    with pytest.raises(UserError) as caught:
        load("r18", "facexzoo", weights)
    assert "keys are missing (input_layer.0.weight, input_layer.1.weight, input_layer.1.bias and" in str(caught.value)


def torchvision_like() -> dict[str, torch.Tensor]:
    """Names of torchvision's ResNet-50, which share much with those of IR networks."""
    names = ["conv1.weight", "bn1.weight", "fc.weight", "fc.bias"]
    names += [
        f"layer{s}.{b}.{m}.weight" for s in (1, 2, 3, 4) for b in (0, 1) for m in ("bn1", "conv1", "bn2", "conv3")
    ]
    return {name: torch.zeros(4, 4) for name in names}


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"weight": torch.zeros(1)},
        torchvision_like(),
        # only the mark of a kind, and a scalar in a matrix's place
        *({kind.mark: torch.zeros(())} for kind in KINDS),
    ],
)
def test_networks_that_are_not_ours_are_not_taken_for_ours(tensors: dict[str, torch.Tensor]) -> None:
    assert recognise(tensors) is None


def test_of_two_networks_in_a_file_the_average_stands_behind() -> None:
    r50, r152 = (empty(FILES[name][0]) for name in ("r50", "r152"))
    found = recognise({**{f"ema.{k}": v for k, v in r50.items()}, **{f"model.{k}": v for k, v in r152.items()}})
    assert found is not None
    assert found.advice == FILES["r152"][1]


def test_a_layout_that_a_network_does_not_have_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(UserError) as caught:
        layout_for("adaface", "PolyFace")
    assert str(caught.value) == "teacher.layout is adaface, which has no weights of PolyFace; expected trojans or null"
    with pytest.raises(UserError, match=r"expected null$"):
        layout_for("adaface", "EfficientNet")


def test_the_names_of_the_configuration_are_those_of_the_layouts() -> None:
    assert {one.value for one in WeightLayout} == {one.name for one in LAYOUTS}
    assert len({(one.name, one.network) for one in LAYOUTS}) == len(LAYOUTS)


def test_named_depths_are_those_of_the_configurations() -> None:
    for network, named in NAMED.items():
        for name, depth in named.items():
            node = configuration(name)["network"]
            assert node["_target_"].endswith(f".{network}")
            option = DEPTH_OPTION[network]
            found = node[option] if option in node else [len(row) for row in own(name).rows]  # pyright: ignore
            assert tuple(found) == depth
            # IResNet's units are numbers
            assert all(node[key] == value for key, value in USUAL.items() if key in node and key != option)
    assert USUAL["dialect"] in get_args(DialectName)


def test_the_table_of_the_docs_is_that_of_the_layouts(repository: Path) -> None:
    text = (repository / "docs" / "teachers.md").read_text().split("## Weights from elsewhere")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    assert rows.pop(0)[1] == "`teacher=`"
    told = set()
    for _, teachers, layout, pixels in rows:
        networks = {
            configuration(name)["network"]["_target_"].rpartition(".")[2] for name in re.findall(r"`(\w+)`", teachers)
        }
        told.add((*networks, layout.strip("`"), pixels))
    known = {(one.network, one.name, pixels_of(one.preprocessing)) for one in LAYOUTS}
    shipped = shipped_card("r18")
    assert shipped is not None
    assert told == known | {("IResNet", "null", pixels_of(shipped.preprocessing))}


def pixels_of(preprocessing: Preprocessing) -> str:
    (mean,), (std,) = set(preprocessing.mean), set(preprocessing.std)
    return f"{preprocessing.order.upper()} (x - {mean:g}) / {std:.10g}"
