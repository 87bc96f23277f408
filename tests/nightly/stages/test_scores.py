"""The judge's input from a night: whose scores are whose, what failed before, and whether the data are newer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from distill.config.scoring_jobs import JudgeConf
from distill.data.pairs import read_pairs
from distill.nightly.stages.scores import judge_stage
from reference.rates import auc

PASSED = {"check": {"verdict": "PASS", "reasons": []}, "parity": {"passed": True, "reason": "", "max_difference": 2e-6}}


def judged(root: Path, tmp_path: Path, known: str = "old", **changed: Any) -> dict[str, Any]:
    """The verdict on a student that classifies all pairs correctly, beside a champion and an anchor that do not."""
    same = read_pairs(root / "lfw_small.bin").same
    rng = np.random.default_rng(0)
    scores = {
        "challenger/lfw_small": np.where(same, 0.5, 1.5) + 0.01 * rng.normal(size=24),
        "champion/lfw_small": np.where(same, 1.0, 1.1) + 0.2 * rng.normal(size=24),
        "anchor/lfw_small": np.where(same, 1.0, 1.3) + 0.3 * rng.normal(size=24),
    }
    np.savez(tmp_path / "scores.npz", **scores)  # pyright: ignore[reportArgumentType]
    conf = JudgeConf(resamples=100, floor=0.1)
    conf.margin.accuracy = conf.margin.auc = conf.margin.tpr_at_fpr = 0.9
    task: Any = SimpleNamespace(
        conf=SimpleNamespace(benchmarks=str(root), judge=conf), night=SimpleNamespace(folder=tmp_path)
    )
    results = {**PASSED, "freeze": {"data_sha256": "new"}, **changed}
    done: Any = {stage: SimpleNamespace(result=result) for stage, result in results.items()}
    champion: Any = SimpleNamespace(facts={"data_sha256": known})
    found = judge_stage(task, champion, done).result.to_json()
    for reason in found["reasons"]:
        if reason["metric"] == "auc" and reason["kind"] in ("main", "anchor"):
            other = "champion" if reason["kind"] == "main" else "anchor"
            assert reason["challenger"] == auc(-scores["challenger/lfw_small"], same) == 1
            assert reason["champion"] == pytest.approx(auc(-scores[f"{other}/lfw_small"], same)) != 1
    return found


def test_each_model_is_judged_by_its_own_scores(root: Path, tmp_path: Path):
    found = judged(root, tmp_path)
    assert found["verdict"] == "promote"
    assert {reason["kind"] for reason in found["reasons"]} >= {"requirement", "main", "anchor", "guard"}


def test_a_student_that_passes_no_check_is_rejected_with_its_reasons(root: Path, tmp_path: Path):
    found = judged(root, tmp_path, check={"verdict": "FAIL", "reasons": ["too large", "too slow"]})
    assert found["verdict"] == "reject"
    assert [r["text"] for r in found["reasons"] if not r["passed"]] == ["check: too large; too slow"]


def test_a_student_that_differs_from_its_network_is_rejected_unseen(root: Path, tmp_path: Path):
    found = judged(root, tmp_path, parity={"passed": False, "reason": "differs", "max_difference": 0.1})
    assert found["verdict"] == "reject"
    assert [(r["metric"], r["text"], r["passed"]) for r in found["reasons"]] == [("parity", "differs", False)]


@pytest.mark.parametrize(("known", "newer"), [("old", True), ("new", False)])
def test_data_are_newer_where_the_champion_knows_others(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: str, newer: bool
):
    seen = []
    from distill.nightly.stages import scores as night_scores

    judge = night_scores.judge
    monkeypatch.setattr(night_scores, "judge", lambda *told: (seen.append(told[-1]), judge(*told))[1])
    judged(root, tmp_path, known)
    assert [facts.newer_data for facts in seen] == [newer]
