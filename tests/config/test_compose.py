"""Typed configurations: composed, stored, read back, named by a hash."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from distill.config.compose import conf_dir, config_hash, config_yaml, load, read_config
from distill.config.scoring_jobs import VerifyConf
from distill.config.training_jobs import CheckConf
from distill.errors import UserError
from distill.tracking.wandb_settings import TrackingMode

VERIFY = ("verify", ("model=a.onnx", "pairs=b.bin"))


def test_a_root_of_ones_own_needs_no_choice_of_data():
    assert load("distill", ["data.root=/x"]).data.name == "recordio"
    assert load("teach", ["data.root=/x", "data=folder"]).data.name == "folder"
    assert load("signals", []).data.name == "synthfaces"
    assert load("distill", ["data=synthfaces", "data.root=/x"]).data.root == "/x"
    assert load("evaluate", ["model=x", "data.root=/x"]).data.list == "filelist.txt"


def test_conf_dir_is_where_the_root_files_are():
    assert (conf_dir() / "distill.yaml").is_file()


def test_load_gives_plain_typed_objects():
    conf = load("distill", ["data.root=/x", "tracking=none", "trainer.optimizer.betas=[0.8,0.9]"])
    assert conf.tracking.mode is TrackingMode.disabled
    assert type(conf.student.network) is dict
    assert type(conf.trainer.optimizer.betas) is list
    assert conf.trainer.channels_last is None


def test_what_is_needed_is_asked_for_with_its_sentence():
    with pytest.raises(UserError, match=r"^pairs is missing: verification sets, e\.g\. pairs=lfw\.bin, "):
        load("verify", ["model=x.onnx"])
    with pytest.raises(UserError, match=r"^data\.root is missing: the folder with the faces"):
        load("distill", ["data=recordio"])


def test_stored_configuration_reads_back(tmp_path: Path):
    conf = load("distill", ["data.root=/x", "trainer.precision=bf16", "run.name='a: b'"])
    (tmp_path / "config.yaml").write_text(config_yaml(conf))
    assert read_config(tmp_path / "config.yaml", type(conf)) == conf


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: x\npears: y\n", "no option 'pears'; did you mean 'pairs'"),
        ("model: x\npairs: y\nseed: abc\n", "seed: Value 'abc'"),
        ("model: [", "line 1"),
        ("model: x\n", "pairs is missing"),
        ("- 1\n", "config.yaml"),
    ],
)
def test_a_stored_configuration_that_does_not_fit(tmp_path: Path, text: str, says: str):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_config(path, VerifyConf)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_stored_configuration_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"config\.yaml: No such file"):
        read_config(tmp_path / "config.yaml", CheckConf)


def test_hash_changes_with_what_counts_alone():
    first = load(*VERIFY)
    assert config_hash(first) == config_hash(load(*VERIFY))
    moved = dataclasses.replace(first, out="elsewhere")
    assert config_hash(first) != config_hash(moved)
    assert config_hash(first, "out") == config_hash(moved, "out")
    assert config_hash(first, "out") != config_hash(dataclasses.replace(first, seed=2), "out")


def test_hash_ignores_nested_keys_and_whole_groups():
    one = load("distill", ["data.root=/x", "export.opset=17", "replay.night=1"])
    two = load("distill", ["data.root=/x", "export.opset=18", "replay.night=2"])
    assert config_hash(one, "export.opset", "replay") == config_hash(two, "export.opset", "replay")
    assert config_hash(one, "export.opset") != config_hash(two, "export.opset")
