"""Templates and their verification against loops, scikit-learn and the weights of every pair."""

from __future__ import annotations

import numpy as np
import pytest

from distill.errors import UserError
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.roc import curve
from distill.metrics.templates import (
    add_images,
    image_weights,
    pair_scores,
    resampled_tprs,
    template_features,
    verify_templates,
)
from reference.rates import tpr_at_fpr
from reference.templates import template_feature

QUICK = Bootstrap(resamples=30)


def images(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features, template, medium and score; media have the same numbers in several templates."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 8)), rng.integers(0, 7, count), rng.integers(0, 5, count), rng.uniform(0.1, 1, count)


def pooled(features, template, medium, score, batch: int = 60, order: np.ndarray | None = None) -> np.ndarray:
    names, rows = np.unique(template, return_inverse=True)
    sums, weights = np.zeros((len(names), features.shape[1])), image_weights(template, medium, score)
    order = np.arange(len(rows)) if order is None else order
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        add_images(sums, rows[part], features[part], weights[part])
    return sums


@pytest.mark.parametrize("seed", range(4))
def test_templates_are_sums_over_media_of_means_over_images(seed: int):
    features, template, medium, score = images(seed)
    found = template_features(pooled(features, template, medium, score, batch=7))
    for row, name in enumerate(np.unique(template)):
        own = template == name
        expected = template_feature(features[own], medium[own].tolist(), score[own].tolist())
        np.testing.assert_allclose(found[row], expected, atol=1e-12)


def test_order_and_batches_do_not_matter():
    case = images(1)
    order = np.random.default_rng(0).permutation(60)
    np.testing.assert_allclose(pooled(*case, batch=11, order=order), pooled(*case), atol=1e-12)


def test_a_video_weighs_as_much_as_a_photograph():
    frame, photograph = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    features = np.array([*[frame] * 9, photograph])
    found = template_features(pooled(features, np.zeros(10, int), np.r_[np.zeros(9, int), 1], np.ones(10)))
    np.testing.assert_allclose(found, [[0.5**0.5, 0.5**0.5]])


def test_a_template_without_direction_is_refused():
    with pytest.raises(UserError, match="templates: 1 of 2 rows are zero, NaN or infinite, first row 1"):
        template_features(np.array([[1.0, 2.0], [0.0, 0.0]]))


def test_scores_are_cosines_in_blocks(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    features = template_features(rng.normal(size=(9, 5)))
    left, right = rng.integers(0, 9, (2, 50))
    monkeypatch.setattr("distill.metrics.templates._BLOCK_PAIRS", 8)
    seen: list[int] = []
    found = pair_scores(features, left, right, seen.append)
    np.testing.assert_allclose(found, [features[a] @ features[b] for a, b in zip(left, right, strict=True)], atol=1e-14)
    assert seen == [8] * 6 + [2]


def scored(seed: int, pairs: int = 600, ties: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, verdicts and persons of pairs of 15 people."""
    rng = np.random.default_rng(seed)
    persons = rng.integers(0, 15, (pairs, 2))
    persons[: pairs // 4, 1] = persons[: pairs // 4, 0]
    persons[:15] = np.arange(15)[:, None]
    same = persons[:, 0] == persons[:, 1]
    scores = rng.normal(size=pairs) + 2 * same
    return (scores.round(1) if ties else scores), same, persons


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ties", [False, True])
def test_resampled_rates_are_those_of_weights_for_all_pairs(seed: int, ties: bool):
    scores, same, persons = scored(seed, ties=ties)
    bootstrap, fprs = Bootstrap(resamples=150, seed=seed), [0.1, 0.02, 0.004]
    slow = bootstrap.resample(
        lambda w: np.stack([curve(scores, same, w).tpr_at_fpr(fpr) for fpr in fprs], axis=1), same, persons
    )
    np.testing.assert_array_equal(resampled_tprs(scores, same, persons, fprs, bootstrap), slow)


def test_figures_of_both_rules_with_intervals():
    scores, same, persons = scored(0, 3000)
    found = verify_templates(scores, same, persons, QUICK)
    assert list(found.tpr_at_fpr) == ["1e-06", "1e-05", "0.0001", "0.001", "0.01", "0.1"]
    assert found.tpr_at_fpr["0.01"] == tpr_at_fpr(scores, same, 0.01)
    assert found.tpr_at_fpr["1e-06"] is None
    assert "impostor pairs; at least 1000000 needed" in found.missing["1e-06"]
    assert found.tpr_near_fpr["1e-06"] is not None, "published code prints something whatever the number of pairs"
    assert found.intervals.keys() == {"0.001", "0.01", "0.1"}
    low, high = found.intervals["0.01"] or (1, 0)
    assert low <= (found.tpr_at_fpr["0.01"] or 0) <= high
    assert (found.pairs, found.genuine, found.impostor) == (3000, same.sum(), (~same).sum())
    text = {name: (exact, near, note) for name, exact, near, note in found.rows()}
    assert text["TPR at FPR 1e-06"][0] == "-"
    assert text["TPR at FPR 0.01"][2].endswith("(95%)")


def test_without_persons_there_are_no_intervals():
    scores, same, _ = scored(0)
    found = verify_templates(scores, same, None, QUICK)
    assert found.intervals == {}
    assert ("TPR at FPR 0.1", *(f"{v:.4f}" for v in (found.tpr_at_fpr["0.1"], found.tpr_near_fpr["0.1"])),
            "persons unknown") in found.rows()  # fmt: skip


@pytest.mark.parametrize("kind", [True, False])
def test_pairs_of_one_kind_have_no_figures(kind: bool):
    found = verify_templates(np.arange(5.0), np.full(5, kind), None, QUICK)
    assert found.auc is None
    assert set(found.tpr_at_fpr.values()) == set(found.tpr_near_fpr.values()) == {None}
