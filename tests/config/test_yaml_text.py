"""YAML files keep text as it stands in them."""

from __future__ import annotations

import io
from typing import cast

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from config.test_text_options import NUMBERS, WORDS
from distill.config.compose import conf_dir
from distill.config.text_options import TextOption
from distill.config.yaml_text import load_yaml


@pytest.mark.parametrize("value", [v for v in (*NUMBERS, *WORDS) if v not in ("<<", "=")])
def test_a_yaml_file_keeps_text_as_it_stands(value: str):
    text = f"a: {value}\nb: [{value}, {value}]\nc: &x {value}\nd: {{<<: {{e: {value}}}}}\nn: *x\n"
    kept = load_yaml(io.StringIO(text), lambda place: None if place[0] == "n" else TextOption())
    plain = yaml.safe_load(text)["n"]
    assert (kept.a, list(kept.b), kept.c, kept.d.e) == (value, [value, value], value, value)
    assert type(kept.n) is type(OmegaConf.load(io.StringIO(f"n: {value}")).n) or plain == kept.n


def test_null_in_a_yaml_file_clears_what_may_be_left_out():
    text = "a: null\nb: ~\nc:\nd: 'null'\ne: Null\n"
    cleared = load_yaml(io.StringIO(text), lambda _: TextOption(clears=True))
    assert dict(cast(DictConfig, cleared)) == {"a": None, "b": None, "c": None, "d": "null", "e": "Null"}
    kept = load_yaml(io.StringIO(text), lambda _: TextOption())
    assert dict(cast(DictConfig, kept)) == {"a": "null", "b": "~", "c": None, "d": "null", "e": "Null"}


def test_the_shipped_files_say_the_same_as_ever():
    for path in sorted(conf_dir().rglob("*.yaml")):
        with path.open(encoding="utf-8") as file:
            assert load_yaml(file, lambda _: None) == OmegaConf.load(path)


def test_text_in_quotes_and_what_is_no_text_option_stay_as_they_are():
    text = "a: '1e5'\nb: 1e5\nc: 0x10\nd: ${a}\ne: a${\n"
    read = load_yaml(io.StringIO(text), lambda place: None if place[0] in "bc" else TextOption())
    assert (read.a, read.b, read.c, read.d, read.e) == ("1e5", 1e5, 16, "1e5", "a${")


def test_parameters_of_a_target_are_text_by_its_constructor():
    text = "reader:\n  _target_: distill.nightly.frozen.FrozenSet\n  drops: 2026_11_29\n  other: 1_0\n"
    read = load_yaml(io.StringIO(text), lambda _: None)
    assert (read.reader.drops, read.reader.other) == ("2026_11_29", 10)


def test_an_empty_file_is_an_empty_configuration():
    assert load_yaml(io.StringIO(""), lambda _: None) == {}
