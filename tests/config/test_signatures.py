"""Signatures read from source are those that Python would report."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any, get_type_hints

import pytest

from distill.config.compose import conf_dir
from distill.config.signatures import signature
from distill.config.text_options import targets_in
from distill.errors import UserError

WRITTEN = (bool, int, float, str)
SHIPPED = (
    *targets_in(conf_dir()),
    "distill.metrics.bootstrap.Bootstrap",  # a dataclass
    "distill.data.views.NewViews",
    "distill.training.settings.LearningRate",
)


@pytest.mark.parametrize("target", SHIPPED)
def test_the_source_says_what_the_class_takes(target: str):
    module, _, name = target.rpartition(".")
    kind: type = getattr(import_module(module), name)
    read = signature(target, "part")
    hints = get_type_hints(kind.__init__)
    expected = inspect.signature(kind).parameters
    assert list(read.parameters) == list(expected)
    assert read.summary == (kind.__doc__ or "").strip().partition("\n")[0]
    for parameter, declared in expected.items():
        assert read.parameters[parameter].required == (declared.default is declared.empty)
        annotation = read.parameters[parameter].annotation
        assert annotation in (hints[parameter], Any)
        assert annotation is not Any or hints[parameter] not in WRITTEN


def test_an_inherited_constructor_is_that_of_the_base():
    assert "sizes" in signature("distill.losses.margin.ArcFace", "part").parameters
    assert "identities" in signature("distill.data.synth.dataset.SynthFaces", "part").parameters


def test_torch_s_own_classes_are_inspected():
    assert signature("torch.nn.Conv2d", "part").parameters["in_channels"].required


@pytest.mark.parametrize("target", ["distill.nothing.Here", "distill.data.nothing.Here", "teachers.nothing.Here"])
def test_a_module_that_is_not_there_is_named(target: str):
    with pytest.raises(UserError, match=f"there is no module {target.rpartition('.')[0].rpartition('.')[0]}"):
        signature(target, "part")
