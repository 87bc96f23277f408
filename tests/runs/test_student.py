"""What a run opens before it trains: the same for a run of its own and for a night."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.config.compose import load
from distill.errors import UserError
from distill.runs.student import open_inputs


def options(root: Path, *more: str) -> list[str]:
    return [f"data.root={root}", "teacher=none", "objective=margin", *more]


def test_transfer_sets_are_shown_without_labels(root: Path):
    alone = open_inputs(load("distill", options(root)))
    joined = open_inputs(load("distill", options(root, f"data.transfer=[{root}]")))
    assert alone.supervision is None
    assert [pairs.name for pairs in alone.pairs] == ["lfw_small"]
    assert joined.images == 2 * alone.images
    assert len(joined.shown.labelled) == alone.images


def test_what_is_cached_lies_beside_the_runs_or_where_it_is_told(root: Path, teacher: Path, tmp_path: Path):
    conf = load("distill", [f"data.root={root}", "teacher=onnx", f"teacher.weights={teacher}", f"run.root={tmp_path}"])
    places = [opened.supervision for opened in (open_inputs(conf), open_inputs(conf, tmp_path / "service"))]
    assert [place and place.cache for place in places] == [tmp_path / ".cache", tmp_path / "service"]


def test_a_teacher_that_is_missing_is_told_before_any_data_are_read(tmp_path: Path):
    conf = load("distill", [f"data.root={tmp_path / 'none'}", "teacher=onnx", "teacher.weights=nowhere.onnx"])
    with pytest.raises(UserError, match=r"nowhere\.onnx"):
        open_inputs(conf)
