"""A run with labels alone and no teacher at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.cli import main

Options = Callable[..., list[str]]


@pytest.fixture
def alone(options: Options) -> list[str]:
    """The command of a run without a teacher; further options win."""
    return ["distill", *(o for o in options() if not o.startswith("teacher")), "teacher=none"]


@pytest.mark.slow
def test_the_student_learns_from_labels_alone(alone: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([*alone, "objective=margin"]) == 0
    folder = (tmp_path / "runs" / "latest").resolve()
    assert folder.name.startswith("vargnet-none-")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["teacher"], metrics["sets"]["teacher"], metrics["verdict"]) == (None, {}, "pass")
    assert list(metrics["losses"]) == ["loss", "raw/margin"]
    assert "No teacher: trained on labels only." in (folder / "card.md").read_text()
    report = (folder / "report.html").read_text()
    assert "The teacher was not tried" not in report
    assert "distilled from" not in report
    printed = capsys.readouterr().out
    assert "gap" not in printed
    assert main([*alone, "objective=margin"]) == 0
    assert "this run is finished" in capsys.readouterr().out


@pytest.mark.parametrize("objective", ["default", "vargfacenet", "logit", "angular", "adadistill"])
def test_an_objective_that_asks_for_one_says_so(alone: list[str], objective: str, capsys):
    assert main([*alone, f"objective={objective}"]) == 2
    captured = capsys.readouterr()
    assert "needs a teacher and there is none" in captured.err
    assert captured.err.count("\n") == 1


def test_it_cannot_be_taught(root: Path, tmp_path: Path, capsys):
    assert main(["teach", "teacher=none", f"data.root={root}", f"run.root={tmp_path}"]) == 2
    assert "cannot be trained" in capsys.readouterr().err
