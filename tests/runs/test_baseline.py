"""The run without a teacher that a run with one is compared with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.cli import main
from distill.config.compose import load
from distill.runs import baseline as alone
from distill.runs.baseline import comparison, find_baseline

Options = Callable[..., list[str]]


def metrics_of(runs: Path, name: str) -> dict:
    return json.loads((runs / name / "metrics.json").read_text())


@pytest.mark.slow
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


@pytest.mark.slow
def test_all_that_decides_what_is_learned_is_part_of_the_comparison():
    def digits(*more: str, faces: str = "faces", pairs: str = "pairs", image_steps: int = 100, **begins: str) -> str:
        begins_with = {f"student.{name}": contents for name, contents in begins.items()}
        return comparison(load("distill", list(more)), faces, pairs, image_steps, begins_with)

    base = digits()
    others = [
        digits("student.network.last_channels=16"),
        digits("student.init=runs/first", init="a"),
        digits("student.init=runs/first", init="b"),
        digits("student.init=runs/first", "student.centres=runs/first", init="a", centres="c"),
        digits("student.init=runs/first", "student.centres=runs/first", init="a", centres="d"),
        digits("replay.share=0", "replay.old_images=9"),
        digits("replay.share=0.5", "replay.old_images=9"),
        digits("trainer.optimizer.lr=0.5"),
        digits("trainer.small_fraction=0"),
        digits("data.augment.gray=0.5"),
        digits("data.augment.cover=0.5"),
        digits("data.augment.cover=0.5", "data.augment.cover_max_share=0.3"),
        digits("seed=2"),
        digits(faces="others"),
        digits(pairs="others"),
        digits(image_steps=200),
    ]
    assert len({base, *others}) == 1 + len(others)
    same = ["teacher=none", "objective=margin", "trainer.compile=true", "trainer.workers=0", "signals=live"]
    assert base == digits(*same, "trainer.images=9000", "trainer.validate_every_steps=7")
    assert base == digits("data.augment.cover_max_share=0.3", "data.augment.blur_sigma_px=9")  # both are off


def test_kept_figures_are_used_where_no_run_is_and_a_broken_run_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kept = tmp_path / "package" / alone.RECORDED
    kept.mkdir(parents=True)
    recorded = {"comparison": "abc", "learned_from": None, "student": {"auc": 0.6}, "finished": "2026-01-02T03:04:05"}
    (kept / "one.json").write_text(json.dumps({**recorded, "recorded_on": "a toaster"}))
    monkeypatch.setattr(alone.resources, "files", lambda _: tmp_path / "package")
    (tmp_path / "runs" / "broken").mkdir(parents=True)
    (tmp_path / "runs" / "broken" / "metrics.json").write_text("{")
    found = find_baseline(tmp_path / "runs", {"comparison": "abc", "learned_from": "r152"})
    assert found is not None
    assert found.student == {"auc": 0.6}
    assert found.source == "recorded 2026-01-02 on a toaster, until you have your own baseline run"
    assert find_baseline(tmp_path / "runs", {"comparison": "xyz", "learned_from": "r152"}) is None
    assert find_baseline(tmp_path / "runs", {"comparison": "abc", "learned_from": None}) is None
