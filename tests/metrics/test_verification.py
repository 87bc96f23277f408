from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from distill.errors import UserError
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.verification import verify
from reference import roc as slow

QUICK = Bootstrap(resamples=50)


def case(seed: int, pairs: int = 60, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    same = rng.random(pairs) < 0.5
    left = rng.normal(size=(pairs, 8)).astype(np.float32)
    right = np.where(same[:, None], left, 0) + noise * rng.normal(size=left.shape)
    return left, right.astype(np.float32), same


@pytest.mark.parametrize("seed", range(4))
def test_all_statistics_against_loops(seed):
    left, right, same = case(seed)
    found = verify(left, right, same, bootstrap=QUICK)
    distances = [slow.squared_distance(a, b) for a, b in zip(left.tolist(), right.tolist(), strict=True)]
    accuracies, thresholds = slow.fold_accuracies(distances, same.tolist(), 10)
    assert found.accuracy_mean == pytest.approx(np.mean(accuracies), abs=1e-12)
    assert found.accuracy_std == pytest.approx(np.std(accuracies), abs=1e-12)
    assert found.fold_thresholds == pytest.approx(thresholds)
    scores = [-d for d in distances]
    assert found.auc == pytest.approx(slow.auc(scores, same.tolist()), abs=1e-12)
    assert found.auc == pytest.approx(roc_auc_score(same, scores), abs=1e-12)
    assert found.tpr_at_fpr["0.1"] == slow.tpr_at_fpr(scores, same.tolist(), int(0.1 * (~same).sum() + 1e-9))
    assert (found.pairs, found.genuine, found.impostor) == (60, same.sum(), (~same).sum())


def test_length_of_embeddings_does_not_matter():
    left, right, same = case(0)
    scaled = verify(left * 7, right * np.arange(1.0, 61.0)[:, None], same, bootstrap=QUICK)
    assert scaled.accuracy_mean == verify(left, right, same, bootstrap=QUICK).accuracy_mean


def test_equal_and_opposite_embeddings():
    vectors = np.random.default_rng(0).normal(size=(20, 8))
    same = np.tile([True, False], 10)
    found = verify(vectors, np.where(same[:, None], vectors, -vectors), same, bootstrap=QUICK)
    assert (found.accuracy_mean, found.accuracy_std, found.auc) == (1.0, 0.0, 1.0)
    assert found.intervals.accuracy == (1.0, 1.0)
    assert (found.histogram.genuine[-1], found.histogram.impostor[0]) == (10, 10)


def test_unsupported_rates_are_null_with_a_reason():
    found = verify(*case(0, 1200), bootstrap=QUICK)
    assert [value is None for value in found.tpr_at_fpr.values()] == [False, False, True, True]
    assert "impostor pairs; at least 1000 needed" in found.missing["tpr_at_fpr.0.001"]
    assert found.intervals.tpr_at_fpr["0.001"] is None
    assert found.intervals.tpr_at_fpr["0.01"] is not None


@pytest.mark.parametrize(("kind", "word"), [(True, "genuine"), (False, "impostor")])
def test_pairs_of_one_kind_have_an_accuracy_but_no_curve(kind, word):
    left, right, _ = case(0, 20)
    found = verify(left, right, np.full(20, kind), bootstrap=QUICK)
    assert found.auc is None
    assert found.missing["auc"] == f"all pairs are {word}"
    assert set(found.tpr_at_fpr.values()) == {None}
    assert found.roc is None
    assert found.intervals.auc is None
    assert json.dumps(found.to_json(), allow_nan=False)
    assert ("ROC AUC", "-", f"all pairs are {word}") in found.rows()


def test_json_has_the_keys_that_others_rely_on():
    found = verify(*case(0, 1200), bootstrap=QUICK).to_json()
    assert {"accuracy_mean", "accuracy_std", "auc", "tpr_at_fpr", "pairs", "intervals", "folds"} <= set(found)
    again = json.loads(json.dumps(found, allow_nan=False))
    assert list(again["tpr_at_fpr"]) == ["0.1", "0.01", "0.001", "0.0001"]
    assert again["folds"] == 10
    assert sum(again["histogram"]["genuine"]) + sum(again["histogram"]["impostor"]) == 1200


def test_intervals_hold_the_estimate_and_shrink_with_more_pairs():
    few, many = (verify(*case(0, pairs, noise=1.5), bootstrap=Bootstrap(resamples=300)) for pairs in (200, 3200))
    for found in (few, many):
        for value, interval in (
            (found.accuracy_mean, found.intervals.accuracy),
            (found.auc, found.intervals.auc),
            (found.tpr_at_fpr["0.1"], found.intervals.tpr_at_fpr["0.1"]),
        ):
            assert value is not None
            assert interval is not None
            assert interval[0] <= value <= interval[1]
    assert few.intervals.auc is not None
    assert many.intervals.auc is not None
    ratio = np.diff(few.intervals.auc)[0] / np.diff(many.intervals.auc)[0]
    assert 2.5 < ratio < 6.5  # 4 for 16 times the pairs


def test_resampling_persons_widens_the_intervals():
    rng = np.random.default_rng(0)
    centres, persons = rng.normal(size=(30, 8)), rng.integers(0, 30, (1500, 2))
    persons[:500, 1] = persons[:500, 0]
    same = persons[:, 0] == persons[:, 1]
    order = rng.permutation(1500)
    left, right = (centres[persons[order, side]] + 0.8 * rng.normal(size=(1500, 8)) for side in (0, 1))
    by_pair, by_person = (
        verify(left, right, same[order], bootstrap=Bootstrap(resamples=300), persons=who).intervals
        for who in (None, persons[order])
    )
    assert (by_pair.over, by_person.over) == ("pairs", "persons")
    assert by_pair.auc is not None
    assert by_person.auc is not None
    assert np.diff(by_person.auc) > 1.2 * np.diff(by_pair.auc)


def test_the_same_seed_gives_the_same_intervals():
    assert verify(*case(0), bootstrap=QUICK) == verify(*case(0), bootstrap=QUICK)


def test_mistakes_are_one_line():
    left, right, same = case(0)
    broken = left.copy()
    broken[5] = np.nan
    for arguments, message in (
        ((broken, right, same), "left embeddings: 1 of 60 rows are zero, NaN or infinite, first row 5"),
        ((left, right[:, :4], same), "expected"),
        ((left, right, same[:-1]), "expected"),
        ((left[:9], right[:9], same[:9]), "9 pairs for 10 folds"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            verify(*arguments)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="60 pairs for 1 folds"):
        verify(left, right, same, folds=1)
