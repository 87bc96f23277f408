"""IR networks of FaceX-Zoo, TreB1eN, cavaface and AdaFace give their own embeddings here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from distill.errors import UserError
from reference.public_ir import PublicIR
from reference.public_weights import IR, assert_same, opened, saved, used
from teachers.iresnet import IResNet
from teachers.layouts.ir import IR_LAYOUTS
from teachers.layouts.layout import Layout

UNITS = [1, 2, 1, 1]


def bgr_128(rgb: Tensor) -> Tensor:
    return (rgb[:, [2, 1, 0]] - 127.5) / 128


def bgr_127(rgb: Tensor) -> Tensor:
    return (rgb[:, [2, 1, 0]] / 255 - 0.5) / 0.5


def rgb_127(rgb: Tensor) -> Tensor:
    return (rgb / 255 - 0.5) / 0.5


@pytest.mark.parametrize(
    ("layout", "dialect", "taken"),
    [
        ("facexzoo", "treb1en", bgr_128),
        ("treb1en", "treb1en", bgr_127),
        ("cavaface", "cavaface", rgb_127),
        ("adaface", "adaface", bgr_127),
    ],
)
@pytest.mark.parametrize("se", [False, True])
def test_public_embeddings(
    layout: str, dialect: str, taken: Callable[[Tensor], Tensor], se: bool, tmp_path: Path
) -> None:
    public = used(PublicIR(dialect, UNITS, se, embedding_dim=16))
    teacher = opened({**IR, "units": UNITS}, layout, saved(public, tmp_path / "public.pth"))
    assert teacher.embedding_dim == 16
    assert_same(teacher, public, taken)
    for other in {bgr_128, bgr_127, rgb_127} - {taken}:
        with pytest.raises(AssertionError, match="not close"):
            assert_same(teacher, public, other)


@pytest.mark.parametrize("se", [False, True])
def test_bottlenecks_of_adaface(se: bool, tmp_path: Path) -> None:
    public = used(PublicIR("adaface", UNITS, se, deep=True, embedding_dim=16))
    teacher = opened({**IR, "units": UNITS}, "adaface", saved(public, tmp_path / "public.ckpt"))
    assert_same(teacher, public, bgr_127)


def _below(prefix: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: {prefix + name: value for name, value in state.items()}


@pytest.mark.parametrize(
    ("layout", "dialect", "wrap"),
    [
        # FaceX-Zoo: backbone and head behind DataParallel
        (
            "facexzoo",
            "treb1en",
            lambda s: {"state_dict": {**_below("module.backbone.")(s), "module.head.weight": torch.ones(16, 5)}},
        ),
        ("facexzoo", "treb1en", lambda s: {"state_dict": {**_below("backbone.")(s), "head.weight": torch.ones(16, 5)}}),
        ("cavaface", "cavaface", _below("module.")),
        # AdaFace: a Lightning module's
        ("adaface", "adaface", lambda s: {"state_dict": {**_below("model.")(s), "head.kernel": torch.ones(16, 5)}}),
        ("treb1en", "treb1en", lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")}),
    ],
)
def test_wrappers_of_their_trainers(
    layout: str, dialect: str, wrap: Callable[[dict[str, Tensor]], dict], tmp_path: Path
) -> None:
    public = used(PublicIR(dialect, UNITS, embedding_dim=16))
    teacher = opened({**IR, "units": UNITS}, layout, saved(public, tmp_path / "x.pth", wrap))
    own = opened({**IR, "units": UNITS}, layout, saved(public, tmp_path / "plain.pth"))
    assert torch.equal(*(t.embed(torch.full((1, 3, 112, 112), 90, dtype=torch.uint8)) for t in (teacher, own)))


@pytest.mark.parametrize(
    ("dialect", "units", "se", "deep", "parameters"),
    [
        ("treb1en", [3, 4, 14, 3], False, False, 43_574_976),
        ("treb1en", [3, 4, 14, 3], True, False, 43_797_696),
        ("treb1en", [3, 8, 36, 3], False, False, 70_737_600),
        ("treb1en", [3, 8, 36, 3], True, False, 71_148_736),
        ("adaface", [3, 8, 36, 3], False, True, 109.64),
    ],
)
def test_sizes_of_the_published_networks(
    dialect: str, units: list[int], se: bool, deep: bool, parameters: float
) -> None:
    with torch.device("meta"):
        public = PublicIR(dialect, units, se, deep)
    found = sum(p.numel() for p in public.parameters())
    assert (round(found / 1e6, 2) if deep else found) == parameters
    read = next(layout for layout in IR_LAYOUTS if layout.read(_shapes(public)) is not None)
    assert read.name == ("adaface" if deep else "facexzoo")


def _shapes(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


@pytest.mark.parametrize(
    ("layout", "deep"),
    [*((layout, False) for layout in IR_LAYOUTS), (IR_LAYOUTS[-1], True)],
    ids=[*(layout.name for layout in IR_LAYOUTS), "adaface with bottlenecks"],
)
@pytest.mark.parametrize("se", [False, True])
def test_each_weight_has_one_name_there_and_back(layout: Layout, deep: bool, se: bool) -> None:
    dialect = {"facexzoo": "treb1en"}.get(layout.name, layout.name)
    with torch.device("meta"):
        public = PublicIR(dialect, [3, 4, 14, 3], se, deep)
        seen = layout.read(_shapes(public))
        assert seen is not None
        ours = IResNet(**seen.options)
    names = layout.names(seen.options)
    there = {
        names.theirs(key): tuple(value.shape) for key, value in ours.state_dict().items() if key not in names.absent
    }
    assert there == _shapes(public)
    assert len(there) == len(ours.state_dict()) - len(names.absent & set(ours.state_dict()))


def test_an_option_that_contradicts_the_file_is_named(tmp_path: Path) -> None:
    path = saved(PublicIR("treb1en", UNITS, embedding_dim=16), tmp_path / "x.pth")
    with pytest.raises(UserError) as caught:
        opened({**IR, "units": UNITS, "se": True}, "facexzoo", path)
    assert str(caught.value) == (
        f"{path} looks like FaceX-Zoo's IR 1-2-1-1, and teacher.network.se is True; use teacher=r50 "
        "teacher.network.units=[1,2,1,1] teacher.layout=facexzoo (teacher.layout=treb1en if it is TreB1eN's)"
    )
    with pytest.raises(UserError, match=r"IR 1-2-1-1, and teacher\.network\.units is \[1, 1, 1, 1\]; use teacher=r50"):
        opened({**IR, "units": [1, 1, 1, 1]}, "facexzoo", path)


def test_an_option_that_no_file_shows_is_the_users(tmp_path: Path) -> None:
    public = used(PublicIR("treb1en", UNITS, embedding_dim=16))
    path = saved(public, tmp_path / "x.pth")
    plain, other = (opened({**IR, "units": UNITS, "eps": eps}, "facexzoo", path) for eps in (1e-5, 1e-2))
    images = torch.full((1, 3, 112, 112), 90, dtype=torch.uint8)
    assert not torch.allclose(plain.embed(images), other.embed(images), atol=1e-3)
