"""Numbers and weights of pairs against loops over all of them."""

from __future__ import annotations

import numpy as np
import pytest

from distill.errors import UserError
from distill.metrics.allpairs.pairing import LabelledFeatures, Pairing
from reference import allpairs as slow


def faces(identities: list[int], columns: int = 4) -> LabelledFeatures:
    features = np.random.default_rng(len(identities)).normal(size=(len(identities), columns)).astype(np.float32)
    return LabelledFeatures(features, np.array(identities, np.int64), "some.npy")


CASES = [
    Pairing(faces([5, 5, 7, -1, -1, 7, 7, 9])),
    Pairing(faces([5, 5, 7, -1, -1]), faces([7, 7, 5, 3, -1])),
    Pairing(faces([-1, -1, -1])),
    Pairing(faces([1, 1, 1])),
]


def loop(pairing: Pairing) -> list[tuple[int, int, bool]]:
    """Persons of both sides of every pair, and whether it is genuine by its identities."""
    left, right = pairing.gallery.identities, pairing.right.identities
    rows = slow.pairs(len(left), None if pairing.probes is None else len(right))
    return [(pairing.persons[0][i], pairing.persons[1][j], bool(left[i] == right[j] and left[i] >= 0)) for i, j in rows]


@pytest.mark.parametrize("pairing", CASES)
def test_counts(pairing: Pairing):
    pairs = loop(pairing)
    assert pairing.pairs == len(pairs)
    assert pairing.genuine == sum(genuine for *_, genuine in pairs)
    assert pairing.impostor == pairing.pairs - pairing.genuine


@pytest.mark.parametrize("pairing", CASES)
def test_one_person_is_one_identity_and_a_distractor_is_alone(pairing: Pairing):
    assert all((a == b) == genuine for a, b, genuine in loop(pairing))
    used = np.unique(np.concatenate(pairing.persons))
    np.testing.assert_array_equal(used, np.arange(len(pairing.rows_of_persons[0])))  # nobody is drawn in vain


@pytest.mark.parametrize("pairing", CASES)
def test_impostor_weight_is_the_sum_over_pairs(pairing: Pairing):
    drawn = np.random.default_rng(0).integers(0, 4, (5, len(pairing.rows_of_persons[0]))).astype(float)
    sums = [sum(row[a] * row[b] for a, b, genuine in loop(pairing) if not genuine) for row in drawn]
    np.testing.assert_array_equal(pairing.impostor_weight(drawn), sums)
    np.testing.assert_array_equal(pairing.impostor_weight(np.ones_like(drawn)), pairing.impostor)


def test_a_map_is_read_as_memory_is(tmp_path):
    values = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    np.save(tmp_path / "f.npy", values)
    mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
    identities = np.zeros(50, np.int64)
    for features in (mapped, mapped[10:], np.load(tmp_path / "f.npy", mmap_mode="c")):
        held = LabelledFeatures(np.array(features), identities[: len(features)])
        found = LabelledFeatures(features, identities[: len(features)])
        np.testing.assert_array_equal(found.unit(3, 30), held.unit(3, 30))
        np.testing.assert_array_equal(found.unit_at(np.array([7, 0, 7])), held.unit(0, 8)[[7, 0, 7]])
        assert found.check() == held.check()
    changed = values.copy()
    changed[49, 5] += 1
    assert LabelledFeatures(changed, identities).check() != LabelledFeatures(values, identities).check()
    assert LabelledFeatures(values, identities + 1).check() != LabelledFeatures(values, identities).check()


def test_what_is_changed_in_a_private_map_is_not_lost(tmp_path):
    np.save(tmp_path / "f.npy", np.ones((4, 2), np.float32))
    private = np.load(tmp_path / "f.npy", mmap_mode="c")
    private[2] = 3, 4
    np.testing.assert_allclose(LabelledFeatures(private, np.zeros(4, np.int64)).unit(0, 4)[2], [0.6, 0.8], atol=1e-7)
    np.testing.assert_array_equal(private[2], [3, 4])


@pytest.mark.parametrize(("features", "identities", "message"), [
    (np.ones((3, 4)), np.zeros(3, np.int64), "features are float64 [3, 4]; expected float32 [n d]"),
    (np.ones(3, np.float32), np.zeros(3, np.int64), "features are float32 [3]; expected float32 [n d]"),
    (np.ones((3, 4), np.float32), np.zeros(2, np.int64), "identities are int64 [2] for 3 rows; expected int64 [3]"),
    (np.ones((3, 4), np.float32), np.zeros(3), "identities are float64 [3] for 3 rows; expected int64 [3]"),
    (np.ones((3, 4), np.float32), np.array([0, -2, 1]), "row 1 has identity -2; expected 0 or more"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(features, identities, message):
    with pytest.raises(UserError) as refused:
        LabelledFeatures(features, identities, "some.npy")
    assert str(refused.value).startswith("some.npy: ")
    assert message in str(refused.value)


def test_sides_have_one_width_and_there_are_pairs():
    with pytest.raises(UserError, match="5 columns; expected 4"):
        Pairing(faces([1, 2]), faces([1, 2], columns=5))
    with pytest.raises(UserError, match="1 rows make no pair"):
        Pairing(faces([1]))
