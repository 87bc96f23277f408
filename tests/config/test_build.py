"""The one build site: options are held against constructors before anything is constructed."""

from __future__ import annotations

import pytest
from torch import nn

from distill.config.build import build, check_targets
from distill.data.augment import Augmentation
from distill.errors import UserError
from distill.metrics.bootstrap import Bootstrap

NETWORK = {"_target_": "teachers.iresnet.IResNet", "units": [1, 1, 1, 1]}


def refused(node: dict[str, object], where: str = "part", **objects: object) -> str:
    with pytest.raises(UserError) as caught:
        build(node, where, **objects)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_builds_with_plain_containers():
    made = build({"_target_": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 4, "kernel_size": [1, 1]}, "part")
    assert isinstance(made, nn.Conv2d)
    assert type(made.kernel_size) in (list, tuple)


def test_objects_reach_the_constructor_untouched():
    inner = Augmentation(mirror=0.25)  # a dataclass, which Hydra would turn into a dict
    made = build({"_target_": "torch.nn.Sequential"}, "part")
    assert len(made) == 0
    bootstrap = build({"_target_": "distill.metrics.bootstrap.Bootstrap", "seed": 3}, "part", resamples=7)
    assert bootstrap == Bootstrap(resamples=7, seed=3)
    made = build({"_target_": "distill.data.views.NewViews", "seed": 1}, "part", augment=inner)
    assert made.augment is inner


def test_misspelt_option_names_the_nearest():
    line = refused({**NETWORK, "unitz": [1]}, "teacher.network")
    assert line == "teacher.network has no option 'unitz'; did you mean 'units'?"


def test_missing_option_is_named():
    assert "needs 'out_channels'" in refused({"_target_": "torch.nn.Conv2d", "in_channels": 3, "kernel_size": 1})


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("mirror", "often", "expected float"),
        ("shift_px", 1.5, "expected int"),
        ("shift_px", True, "expected int"),
        ("jpeg_min_quality", None, "expected int"),
    ],
)
def test_wrong_type_says_what_was_expected(option: str, value: object, expected: str):
    line = refused({"_target_": "distill.data.augment.Augmentation", option: value}, "data.augment")
    assert line.startswith(f"data.augment.{option} is {value!r}")
    assert expected in line


def test_a_constructor_s_own_complaint_comes_through():
    line = refused({"_target_": "distill.data.augment.Augmentation", "mirror": 2.0}, "data.augment")
    assert line.startswith("data.augment.mirror is 2.0")


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.Popen",
        "torch.load",
        "torch.hub.load",
        "builtins.eval",
        "distil.x.Y",
        3,
        "torch.nn.init.zeros_",
    ],
)
def test_targets_outside_of_the_project_are_refused(target: object):
    assert "_target_" in refused({"_target_": target})


def test_what_a_module_of_ours_imports_is_no_target():
    assert "no such class" in refused({"_target_": "distill.metrics.bootstrap.np"})
    assert "no such class" in refused({"_target_": "distill.data.faceset.Path"})


def test_misspelt_targets_name_the_nearest():
    assert "did you mean 'IResNet'" in refused({**NETWORK, "_target_": "teachers.iresnet.IResnet"})
    assert "no module teachers.iresnets" in refused({**NETWORK, "_target_": "teachers.iresnets.IResNet"})


def test_nested_targets_are_checked_with_their_place():
    tree = {"terms": [{"loss": {"_target_": "distill.data.augment.Augmentation", "miror": 0.1}}]}
    with pytest.raises(UserError, match=r"terms\[0\]\.loss has no option 'miror'; did you mean 'mirror'"):
        check_targets(tree)
