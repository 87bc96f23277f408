"""The 10-fold protocol against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import KFold
from sklearn.preprocessing import normalize

from distill.metrics.bootstrap import Bootstrap
from distill.metrics.folds import THRESHOLDS, fold_table
from distill.metrics.verification import verify
from reference import roc as slow


def case(seed: int, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    same = rng.random(pairs) < 0.5
    return np.clip(rng.normal(1.6, 0.4, pairs) - 0.5 * same, 0, 4), same


def once(pairs: int) -> np.ndarray:
    return np.ones((1, pairs))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("pairs", "folds"), [(40, 10), (43, 10), (10, 10), (21, 2)])
def test_accuracies_and_thresholds_of_the_protocol(seed, pairs, folds):
    distances, same = case(seed, pairs)
    accuracies, thresholds = fold_table(distances, same, folds).accuracies(once(pairs))
    expected, chosen = slow.fold_accuracies(distances.tolist(), same.tolist(), folds)
    np.testing.assert_array_equal(accuracies[0], expected)
    np.testing.assert_array_equal(thresholds[0], chosen)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pairs", [60, 87])
def test_the_same_features_score_as_in_public_code(seed, pairs):
    """With scikit-learn's folds and normalisation, and a count of pairs for every threshold, as such code has it.

    Features are whole numbers, so that pairs repeat and distances tie.
    """
    rng = np.random.default_rng(seed)
    plain, mirrored = rng.integers(-3, 4, (2, 2 * pairs, 4)) + 0.5
    same = rng.random(pairs) < 0.5
    plain[1::2][same] = plain[0::2][same] + 1
    embeddings = plain + mirrored
    unit = np.asarray(normalize(embeddings))
    distances = np.sum(np.square(np.subtract(unit[0::2], unit[1::2])), 1)
    expected, chosen = [], []
    for others, fold in KFold(10, shuffle=False).split(np.arange(pairs)):
        right = [np.mean(np.less(distances[others], t) == same[others]) for t in np.arange(0, 4, 0.01)]
        chosen.append(np.arange(0, 4, 0.01)[np.argmax(right)])
        expected.append(np.mean(np.less(distances[fold], chosen[-1]) == same[fold]))
    found = verify(embeddings[0::2], embeddings[1::2], same, bootstrap=Bootstrap(resamples=1))
    assert found.fold_thresholds == tuple(chosen)
    assert found.fold_accuracies == tuple(expected)
    assert (found.accuracy_mean, found.accuracy_std) == (np.mean(expected), np.std(expected))


def test_a_distance_on_a_threshold_is_not_below_it():
    distances = THRESHOLDS[[100, 100, 101, 101]].repeat(2)
    same = np.array([True, True, True, True, False, False, False, False])
    table = fold_table(distances, same, 2)
    right, total = table.correct(once(8))
    assert total.tolist() == [[4, 4]]
    for step in (99, 100, 101, 102):
        expected = [(distances < THRESHOLDS[step]) == same][0]
        assert right[0, :, step].tolist() == [expected[:4].sum(), expected[4:].sum()]


def test_ends_of_the_grid():
    table = fold_table(np.array([0.0, 4.0, 3.99, 3.999]), np.array([True, True, True, True]), 2)
    right, _ = table.correct(once(4))
    assert right[0, :, 0].tolist() == [0, 0]  # nothing is below 0
    assert right[0, :, 1].tolist() == [1, 0]
    assert right[0, :, -1].tolist() == [1, 0]  # 3.99 is the last threshold


def test_separated_pairs_score_one_with_the_first_threshold_that_separates():
    same = np.tile([True, False], 20)
    table = fold_table(np.where(same, 0.505, 2.0), same)
    accuracies, thresholds = table.accuracies(once(40))
    assert accuracies.min() == 1.0
    assert table.threshold() == thresholds[0, 0] == THRESHOLDS[51]


@pytest.mark.parametrize("seed", range(4))
def test_a_weight_is_a_repetition_inside_its_fold(seed):
    distances, same = case(seed, 30)
    weights = np.random.default_rng(seed).integers(0, 3, (2, 30)).astype(float)
    accuracies, thresholds = fold_table(distances, same, 3).accuracies(weights)
    for row, times in enumerate(weights.astype(int)):
        for fold in range(3):
            inside = np.arange(30) // 10 == fold
            best, best_right = 0.0, -1
            for threshold in THRESHOLDS:
                right = ((distances < threshold) == same)[~inside] @ times[~inside]
                if right > best_right:
                    best, best_right = threshold, right
            assert thresholds[row, fold] == best
            right = ((distances < best) == same)[inside] @ times[inside]
            assert accuracies[row, fold] == right / times[inside].sum()


def test_a_fold_without_weight_is_undefined():
    distances, same = case(0, 20)
    weights = np.r_[np.zeros(10), np.ones(10)][None]
    accuracies, _ = fold_table(distances, same, 2).accuracies(weights)
    assert np.isnan(accuracies[0, 0])
    assert np.isfinite(accuracies[0, 1])


@pytest.mark.parametrize("left_out", [(), (0,), (3, 7), (1, 10, 11)])
def test_pairs_that_are_left_out_move_no_other_to_another_fold(left_out):
    distances, same = np.random.default_rng(0).uniform(0, 4, 23), np.arange(23) % 2 == 0
    whole, kept = fold_table(distances, same, 5), np.delete(np.arange(23), np.array(left_out, int))
    assert fold_table(distances[kept], same[kept], 5, left_out).fold.tolist() == whole.fold[kept].tolist()
