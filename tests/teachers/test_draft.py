"""A public file becomes a teacher by its layout: options, preprocessing and card follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from distill.config.groups import TeacherConf, WeightLayout
from distill.errors import UserError
from distill.runs.assemble import open_teacher
from distill.runs.signal_lookup import described_teacher
from distill.types import Preprocessing
from reference.public_ir import PublicIR
from reference.public_weights import IR, opened, saved
from reference.tiny_onnx import TinyOnnx
from teachers.iresnet import IResNet
from teachers.teacher import Teacher

UNITS = [1, 1, 1, 1]
NETWORK = {**IR, "units": UNITS}
CARD = "name: x\nsource: y\nlicence: z\npreprocessing: {order: rgb, mean: [1, 2, 3], std: [4, 5, 6]}\n"


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(PublicIR("adaface", UNITS, embedding_dim=8), tmp_path_factory.mktemp("public") / "x.ckpt")


def with_options(path: Path, **options: Any) -> Teacher:
    conf = TeacherConf(name="mine", network=NETWORK, weights=str(path), layout=WeightLayout.adaface, **options)
    teacher = open_teacher(conf, "")
    assert teacher is not None
    return teacher


def test_the_layout_gives_preprocessing_and_a_card(public: Path) -> None:
    teacher = opened(NETWORK, "adaface", public, "r152")
    assert teacher.preprocessing == Preprocessing("bgr", std=(127.5, 127.5, 127.5))
    # not the card that is shipped for r152, which speaks of InsightFace's weights
    assert (teacher.card.name, teacher.card.cost) == ("r152", None)
    assert teacher.card.source == "weights from elsewhere in the layout of mk-minchul/AdaFace: net.py"
    assert teacher.card.preprocessing == teacher.preprocessing
    assert teacher.embedding_dim == 8


def test_an_override_and_a_card_of_the_weights_come_before_the_layouts_preprocessing(public: Path) -> None:
    (card := public.with_name("other.yaml")).write_text(CARD)
    from_card = Preprocessing("rgb", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    assert with_options(public, card=str(card)).preprocessing == from_card
    chosen = {"order": "rgb", "mean": [0, 0, 0], "std": [1, 1, 1]}
    by_hand = with_options(public, card=str(card), preprocessing=chosen).preprocessing
    assert by_hand == Preprocessing("rgb", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_signals_of_a_layout_are_not_those_of_another(public: Path) -> None:
    conf = TeacherConf(name="mine", network=dict(NETWORK), weights=str(public))
    assert described_teacher(conf, None) == {"name": "mine", "network": NETWORK}
    conf.layout = WeightLayout.adaface
    assert described_teacher(conf, None) == {"name": "mine", "network": NETWORK, "layout": "adaface"}
    teacher = open_teacher(conf, "")
    found = described_teacher(conf, teacher)
    assert (found["layout"], found["preprocessing"]["order"], found["embedding_dim"]) == ("adaface", "bgr", 8)


def test_a_file_of_our_own_names_with_a_layout_is_named(tmp_path: Path) -> None:
    path = saved(IResNet(UNITS, embedding_dim=8), tmp_path / "backbone.pth")
    with pytest.raises(UserError) as caught:
        opened(NETWORK, "facexzoo", path)
    assert str(caught.value) == (
        f"{path} looks like InsightFace's (arcface_torch) IR 1-1-1-1, and teacher.layout=facexzoo reads "
        "JDAI-CV/FaceX-Zoo: backbone/ResNets.py; use teacher=r50 teacher.network.units=[1,1,1,1] "
        "teacher.network.embedding_dim=8 teacher.layout=null"
    )


def test_a_layout_whose_names_nearly_fit_is_named(public: Path) -> None:
    # AdaFace's and cavaface's names differ in the blocks only
    with pytest.raises(UserError, match=r"looks like AdaFace's IR 1-1-1-1, .*use .* teacher\.layout=adaface$"):
        opened(NETWORK, "cavaface", public)


def test_a_file_with_a_weight_too_few_is_counted_in_its_own_names(tmp_path: Path) -> None:
    state = PublicIR("adaface", UNITS, embedding_dim=8).state_dict()
    del state["body.2.res_layer.4.weight"]
    torch.save(state, tmp_path / "x.pth")
    line = (
        r"1 keys are missing \(body\.2\.res_layer\.4\.weight\), 0 are surplus \(none\); it looks like AdaFace's IR 1-"
    )
    with pytest.raises(UserError, match=line):
        opened(NETWORK, "adaface", tmp_path / "x.pth")


def test_an_onnx_file_with_a_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is an ONNX file, not weights .*use teacher=onnx teacher\.weights="):
        opened(NETWORK, "adaface", TinyOnnx().write(tmp_path / "net.onnx"))


def test_the_given_options_reach_the_network(public: Path) -> None:
    conf = TeacherConf(name="m", network={**NETWORK, "dropout": 2.0}, weights=str(public), layout=WeightLayout.adaface)
    with pytest.raises(ValueError, match="dropout"):
        open_teacher(conf, "")
