"""The benchmark of recipes: what it runs, what it keeps, and intervals that combine seeds and pairs."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from distill.config.compose import config_yaml, load
from distill.signals.manifest import read_manifest
from distill.signals.set_outputs import read_centres
from distill.signals.store import open_shard
from reference.tiny_onnx import TinyOnnx

PAIRS, QUICK = 240, 100


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    """The scripts as they find each other when they are run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
        names = ("distilling", "flip_summed", "paired_runs", "recipe_table", "recipes")
        yield {name: importlib.import_module(name) for name in names}
        for name in names:
            del sys.modules[name]


def run_scores(scripts: dict[str, ModuleType], skill: float, seed: int) -> dict[str, Any]:
    """Scores of a run on two sets: genuine pairs are nearer than impostor pairs by ``skill``."""
    same = np.arange(PAIRS) % 2 == 0
    found = {}
    for number, name in enumerate("ab"):
        pairs = np.random.default_rng(number).normal(0, 0.1, PAIRS)  # how hard a pair is, for every run
        noise = np.random.default_rng([seed, number]).normal(0, 0.05, PAIRS)
        found[name] = scripts["paired_runs"].SetScores(np.clip(1 - skill * same + pairs + noise, 0.01, 3.9), same, None)
    return found


def area(distances: np.ndarray, same: np.ndarray) -> float:
    """ROC AUC by its definition: the share of genuine and impostor pairs in the right order."""
    right = [float(g < i) + 0.5 * float(g == i) for g in distances[same] for i in distances[~same]]
    return float(np.mean(right))


def test_differences_are_those_of_the_means_over_seeds_and_sets(scripts: dict[str, ModuleType]):
    good = [run_scores(scripts, 0.3, seed) for seed in (1, 2, 3)]
    poor = [run_scores(scripts, 0.2, seed) for seed in (4, 5, 6)]
    found = scripts["paired_runs"].differences(good, poor, 10, QUICK)
    by_hand = [
        np.mean([area(one[n].distances, one[n].same) - area(base[n].distances, base[n].same) for n in "ab"])
        for one, base in zip(good, poor, strict=True)
    ]
    assert found["auc"]["value"] == pytest.approx(np.mean(by_hand))
    assert 0 < found["auc"]["low"] < found["auc"]["value"] < found["auc"]["high"]
    for metric in ("accuracy", "tpr_at_fpr"):
        assert found[metric]["low"] < found[metric]["value"] < found[metric]["high"]
    back = scripts["paired_runs"].differences(poor, good, 10, QUICK)
    for metric, one in found.items():
        assert back[metric]["value"] == pytest.approx(-one["value"]), metric
        assert back[metric]["low"] == pytest.approx(-one["high"]), metric


def test_a_run_does_not_differ_from_itself_and_unlike_seeds_widen_the_interval(scripts: dict[str, ModuleType]):
    alike = [run_scores(scripts, 0.25, 1)] * 3
    assert scripts["paired_runs"].differences(alike, alike, 10, QUICK)["auc"] == {
        "value": 0.0,
        "low": 0.0,
        "high": 0.0,
        "seeds_share": 0.0,
    }
    unlike = [run_scores(scripts, skill, 1) for skill in (0.1, 0.25, 0.4)]
    base = [run_scores(scripts, 0.2, 9)] * 3
    narrow, wide = (scripts["paired_runs"].differences(runs, base, 10, QUICK)["auc"] for runs in (alike, unlike))
    assert wide["high"] - wide["low"] > 2 * (narrow["high"] - narrow["low"])
    assert narrow["seeds_share"] == 0
    assert wide["seeds_share"] > 0.5


def test_the_interval_is_normal_for_pairs_alone_and_student_s_for_seeds_alone(scripts: dict[str, ModuleType]):
    half_width = scripts["paired_runs"].half_width
    assert half_width(0.04, 0.0, 3) == pytest.approx(0.2 * 1.959964, rel=1e-5)
    assert half_width(0.0, 0.04, 3) == pytest.approx(0.2 * 4.302653, rel=1e-5)  # two degrees of freedom
    assert half_width(0.02, 0.02, 3) == pytest.approx(0.2 * 2.306004, rel=1e-5)  # 2 x 2^2 = 8 of them


def finished_run(folder: Path, width: int, options: list[str]) -> None:
    """What a finished run leaves that the table reads, with a small network in the student's place."""
    folder.mkdir(parents=True)
    TinyOnnx(width=width).write(folder / "student.onnx")
    (folder / "config.yaml").write_text(config_yaml(load("distill", options)))
    (folder / "metrics.json").write_text('{"training_s": 2.5, "machine": {"image_steps": 64}}')


def test_finished_rows_are_kept_and_nothing_is_run_again(scripts: dict[str, ModuleType], root: Path, tmp_path: Path):
    table_of = scripts["recipe_table"]
    rows = {"base": table_of.Row("the base", []), "two": table_of.Row("two steps", [], "base", "-g2")}
    table, runs, place = table_of.Table("t", rows, 2, 64, 2), tmp_path / "runs", tmp_path / "t.json"
    common = [f"data.root={root}", "teacher=none", "objective=margin"]
    for seed, width in ((1, 6), (2, 7)):
        options = [*common, "trainer.images=64", f"seed={seed}"]
        finished_run(runs / f"base-64-{seed}", width, options)
        finished_run(runs / f"base-64-{seed}-g2", width + 8, options)
    with pytest.raises(SystemExit, match=r"base-64-1 has objective\.terms"):
        table_of.filled(table, [*common, "objective=arcnegface"], place, runs, 1, "command")
    found = table_of.filled(table, common, place, runs, 1, "command")
    assert list(found) == ["base", "two"]
    assert found["base"]["difference"] is None
    assert len(found["two"]["seeds"]) == 2
    mean = [np.mean([seed["auc"] for seed in found[row]["seeds"]]) for row in ("base", "two")]
    assert found["two"]["difference"]["auc"]["value"] == pytest.approx(mean[1] - mean[0])
    stored = json.loads(place.read_text())
    assert stored["rows"] == found
    assert (stored["command"], stored["seeds"]) == ("command", 2)
    for folder in runs.glob("base*"):
        folder.rename(tmp_path / f"gone-{folder.name}")
    assert table_of.filled(table, common, place, runs, 1, "command") == found, "the rows are in the file"
    with pytest.raises(SystemExit, match="3"):
        table_of.filled(table_of.Table("t", rows, 2, 64, 3), common, place, runs, 1, "command")
    lines = table_of.markdown(table, found).splitlines()
    assert [line.count("|") for line in lines] == [8] * 4
    assert lines[2].startswith("| the base | ")
    assert lines[2].count("| - ") == 3
    assert f"| {mean[1]:.4f} (" in lines[3]


def test_runs_that_are_missing_are_commanded_once_with_the_row_s_options_last(
    scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: dict[str, list[str]] = {}

    def record(commands: dict[str, list[str]], runs: Path, jobs: int) -> Iterator[tuple[str, dict[str, Any]]]:
        asked.update(commands)
        return iter(())

    table_of = scripts["recipe_table"]
    monkeypatch.setattr(table_of, "distilled", record)
    rows = scripts["recipes"].generations(64)
    table = table_of.Table("generations", rows, 2, 64, 1, ["trainer=smoke"])
    assert table_of.filled(table, ["tracking=none"], tmp_path / "t.json", tmp_path / "runs", 1, "") == {}
    shared = ["tracking=none", "trainer.images=64", "trainer=smoke", "seed=1", "objective=default"]
    assert asked == {
        "default-64-1": [*shared, "generations=2"],
        "twice-64-1": [*shared, "trainer.images=128"],
    }
    confs = {name: load("distill", options) for name, options in asked.items()}
    assert {name: conf.trainer.images for name, conf in confs.items()} == {"default-64-1": 64, "twice-64-1": 128}


def test_the_sums_of_a_shipped_store_are_those_of_its_two_columns(scripts: dict[str, ModuleType], tmp_path: Path):
    shipped = scripts["recipes"].SHIPPED / "r152-synthfaces"
    summed = scripts["flip_summed"].flip_summed(shipped, tmp_path / "sums")
    before, after = read_manifest(shipped), read_manifest(summed)
    assert (before.columns, after.columns) == (2, 1)
    two, one = (open_shard(folder, m, 2) for folder, m in ((shipped, before), (summed, after)))
    np.testing.assert_allclose(one["embedding"][:, 0], two["embedding"].astype(np.float32).sum(1), rtol=1e-3)
    np.testing.assert_array_equal(one["digest"], two["digest"])
    torch.testing.assert_close(read_centres(summed, after), read_centres(shipped, before))
    assert {path.name for path in summed.iterdir()} == {path.name for path in shipped.iterdir()}
    assert sum(path.stat().st_size for path in summed.iterdir()) < 4_000_000


def test_every_row_of_every_table_is_a_configuration_of_the_same_length(
    scripts: dict[str, ModuleType], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    recipes = scripts["recipes"]
    arguments = argparse.Namespace(data=root, images=640, seeds=1, options=[])
    for name in ("recipes", "teachers", "generations"):
        table, common = recipes._table(name, arguments)
        for row in table.rows.values():
            conf = load("distill", [*common, f"trainer.images={table.images}", *row.options])
            assert conf.trainer.images == (1280 if "twice" in row.words else 640), row
            assert conf.student.name.startswith("vargnet"), row
            assert conf.data.augment["shift_px"] == 0, row
    assert recipes._table("teachers", arguments)[0].baseline == "r152_flip_sum"
    assert recipes._table("recipes", arguments)[0].baseline == "default"
