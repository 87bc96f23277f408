from __future__ import annotations

import json

import numpy as np
import pytest

from distill.metrics.verification import verify
from distill.report.scores import VerificationScores


def found(pairs: int = 60, noise: float = 1.0) -> dict[str, object]:
    """What ``verify.json`` holds for random embeddings, through JSON."""
    rng = np.random.default_rng(0)
    same = np.arange(pairs) % 2 == 0
    left, other = rng.normal(size=(2, pairs, 16))
    right = np.where(same[:, None], left + noise * rng.normal(size=left.shape), other)
    return json.loads(json.dumps(verify(left, right, same).to_json()))


def test_reads_what_verification_writes() -> None:
    json_values = found()
    scores = VerificationScores.from_json(json_values)
    rows = {score.name: score for score in scores.rows}
    assert scores.accuracy.value == json_values["accuracy_mean"]
    assert rows["TPR at FPR 0.1"].interval is not None
    assert rows["TPR at FPR 0.1"].range_text.count("to") == 1
    assert rows["TPR at FPR 0.001"].value is None
    assert "impostor pairs" in rows["TPR at FPR 0.001"].range_text
    assert scores.roc[0] == (0, 0)
    assert scores.roc[-1] == (1, 1)
    assert sum(scores.genuine_counts) == scores.genuine == 30


def test_threshold_is_a_cosine() -> None:
    scores = VerificationScores.from_json({**found(), "threshold": 1.2})
    assert scores.threshold == pytest.approx(0.4)
