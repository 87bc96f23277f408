"""The run without a teacher that a run with one is compared with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.cli import main
from distill.jobs import alone
from distill.jobs.alone import comparison, find_alone
from distill.jobs.schema import StudentConf

Options = Callable[..., list[str]]


def metrics_of(runs: Path, name: str) -> dict:
    return json.loads((runs / name / "metrics.json").read_text())


def test_a_run_with_a_teacher_stands_beside_the_same_one_without(
    options: Options, tmp_path: Path, capsys: pytest.CaptureFixture
):
    runs = tmp_path / "runs"
    without = [o for o in options() if not o.startswith("teacher")]
    assert main(["distill", *without, "teacher=none", "objective=margin", "run.name=without"]) == 0
    assert "alone  " not in capsys.readouterr().out
    assert main(["distill", *options("run.name=with")]) == 0
    printed = capsys.readouterr().out
    assert f"your run {runs / 'without'}" in printed
    assert main(["distill", *options("run.name=longer", "trainer.images=24")]) == 0
    assert "alone  " not in capsys.readouterr().out
    assert metrics_of(runs, "with")["comparison"] == metrics_of(runs, "without")["comparison"]
    assert metrics_of(runs, "with")["comparison"] != metrics_of(runs, "longer")["comparison"]


def test_all_that_decides_what_is_learned_is_part_of_the_comparison():
    student = StudentConf("small", {"widths": [8]})
    base = comparison(student, "faces", "pairs", 100, 1)
    others = [
        comparison(StudentConf("small", {"widths": [16]}), "faces", "pairs", 100, 1),
        comparison(StudentConf("small", {"widths": [8]}, "runs/first"), "faces", "pairs", 100, 1),
        comparison(student, "others", "pairs", 100, 1),
        comparison(student, "faces", "others", 100, 1),
        comparison(student, "faces", "pairs", 200, 1),
        comparison(student, "faces", "pairs", 100, 2),
    ]
    assert len({base, *others}) == 1 + len(others)
    assert base == comparison(StudentConf("of another name", {"widths": [8]}), "faces", "pairs", 100, 1)


def test_kept_figures_are_used_where_no_run_is_and_a_broken_run_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kept = tmp_path / "package" / alone.KEPT
    kept.mkdir(parents=True)
    recorded = {"comparison": "abc", "learned_from": None, "student": {"auc": 0.6}, "finished": "2026-01-02T03:04:05"}
    (kept / "one.json").write_text(json.dumps({**recorded, "recorded_on": "a toaster"}))
    monkeypatch.setattr(alone.resources, "files", lambda _: tmp_path / "package")
    (tmp_path / "runs" / "broken").mkdir(parents=True)
    (tmp_path / "runs" / "broken" / "metrics.json").write_text("{")
    found = find_alone(tmp_path / "runs", {"comparison": "abc", "learned_from": "r152"})
    assert found is not None
    assert found.student == {"auc": 0.6}
    assert found.source == "kept figures of a run of 2026-01-02 on a toaster"
    assert find_alone(tmp_path / "runs", {"comparison": "xyz", "learned_from": "r152"}) is None
    assert find_alone(tmp_path / "runs", {"comparison": "abc", "learned_from": None}) is None
