"""Nearest names; the sentences themselves are tested through the command line in ``test_cli.py``."""

from __future__ import annotations

from hydra.errors import HydraException

from distill.config.suggest import did_you_mean, explain, nearest
from distill.config.training_jobs import DistillConf


def test_nearest_knows_when_nothing_is_near():
    assert nearest("studnt", ["student", "teacher"]) == "student"
    assert nearest("zzz", ["student", "teacher"]) is None


def test_a_short_list_of_valid_names_stands_in_for_a_neighbour():
    assert did_you_mean("zzz", ["b", "a"]) == "; expected one of a, b"
    assert did_you_mean("zzz", [f"name{i}" for i in range(100)]) == ""


def test_an_error_without_a_reader_still_becomes_one_line():
    assert explain(HydraException("first\n\n  second\tthird"), DistillConf) == "first second third"
