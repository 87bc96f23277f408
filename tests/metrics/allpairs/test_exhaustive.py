"""Against a loop over pairs in exact arithmetic, in one set and in two, over several strips and tiles."""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction

import numpy as np
import pytest

from distill.errors import UserError
from distill.metrics.allpairs import exhaustive as module
from distill.metrics.allpairs.exhaustive import BINS, EDGES, Survey, survey_pairs
from distill.metrics.allpairs.pairing import DISTRACTOR, LabelledFeatures, Pairing
from distill.metrics.allpairs.rescore import GENUINE, IMPOSTOR
from distill.metrics.allpairs.score import Settings, score_all_pairs

COLUMNS = 5
Slow = list[tuple[float, int, int, bool]]


def faces(seed: int, rows: int, people: int = 7) -> LabelledFeatures:
    """Random features with equal rows, opposite rows and distractors among them."""
    rng = np.random.default_rng(seed)
    identities = rng.integers(DISTRACTOR, people, rows)
    features = (rng.normal(size=(rows, COLUMNS)) + 2 * rng.normal(size=(people + 1, COLUMNS))[identities]).astype("f4")
    features[3] = features[1]
    features[5] = -features[2]
    return LabelledFeatures(features, identities.astype(np.int64))


def slow_pairs(pairing: Pairing) -> Slow:
    """(score, left, right, genuine) of every pair, scores as fractions add them."""
    found = []
    left, right = (side.unit(0, len(side)) for side in (pairing.gallery, pairing.right))
    for i in range(len(left)):
        for j in range(len(right)):
            if pairing.probes is None and j <= i:
                continue
            exact = sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(left[i], right[j], strict=True))
            known = pairing.gallery.identities[i] != DISTRACTOR
            found.append(
                (float(exact), i, j, bool(known and pairing.gallery.identities[i] == pairing.right.identities[j]))
            )
    return found


def expected(pairs: Slow, hardest: int) -> tuple[np.ndarray, list[tuple], list[tuple]]:
    counts, edges = np.zeros((2, BINS), np.int64), EDGES.tolist()
    for score, _, _, genuine in pairs:
        place = min(max(bisect_right(edges, score) - 1, 0), BINS - 1)
        counts[int(genuine), place] += 1
    worst = [sorted(((-s, i, j) for s, i, j, g in pairs if not g))[:hardest]]
    worst.append(sorted((s, i, j) for s, i, j, g in pairs if g)[:hardest])
    return counts, [(-s, i, j) for s, i, j in worst[0]], worst[1]


def rows(table: np.ndarray) -> list[tuple]:
    return [(float(p["score"]), int(p["left"]), int(p["right"])) for p in table]


@pytest.mark.parametrize("two_sets", [False, True])
@pytest.mark.parametrize(("hardest", "tile"), [(0, 7), (4, 7), (4, 512), (10**6, 7)])
def test_counts_and_worst_pairs_are_those_of_a_loop(monkeypatch, two_sets: bool, hardest: int, tile: int):
    monkeypatch.setattr(module, "_TILE_ROWS", tile)
    pairing = Pairing(faces(0, 40), faces(1, 23) if two_sets else None)
    counts, impostors, genuine = expected(slow_pairs(pairing), hardest)
    looked: list[int] = []
    small = 4 * 2 * 4 * 2 * COLUMNS * 17  # strips of 17 rows
    found = survey_pairs(pairing, hardest, small, looked.append)
    np.testing.assert_array_equal(found.counts, counts)
    assert rows(found.impostors) == impostors
    assert rows(found.genuine) == genuine
    assert sum(looked) == pairing.pairs
    assert (int(found.counts[GENUINE].sum()), int(found.counts[IMPOSTOR].sum())) == (pairing.genuine, pairing.impostor)


def test_nothing_depends_on_tiles_and_memory(monkeypatch):
    pairing = Pairing(faces(2, 300))
    found = []
    for tile, memory in ((512, 1 << 30), (64, 1 << 30), (512, 4 * 2 * 4 * 2 * COLUMNS * 50)):
        monkeypatch.setattr(module, "_TILE_ROWS", tile)
        found.append(survey_pairs(pairing, 20, memory))
    for other in found[1:]:
        np.testing.assert_array_equal(other.counts, found[0].counts)
        np.testing.assert_array_equal(other.impostors, found[0].impostors)
        np.testing.assert_array_equal(other.genuine, found[0].genuine)


def test_its_curve_goes_through_what_the_engine_finds():
    pairing = Pairing(faces(3, 200))
    curve = survey_pairs(pairing, 0, 1 << 30).curve()
    fprs, tprs = np.array(curve).T
    assert (np.diff(fprs) >= 0).all()
    assert (np.diff(tprs) >= 0).all()
    assert curve[-1] == (1, 1)
    for point in score_all_pairs(pairing.gallery, settings=Settings((0.3, 0.1, 0.01), None)).points:
        below, above = tprs[fprs <= point.fpr].max(), tprs[fprs > point.fpr].min()
        assert point.tpr is not None
        assert below <= point.tpr <= above


def test_a_histogram_in_fewer_bins_has_all_pairs():
    survey = survey_pairs(Pairing(faces(4, 60)), 0, 1 << 30)
    found = survey.histogram(16)
    assert len(found.edges) == 17
    assert (found.edges[0], found.edges[-1]) == (-1, 1)
    for kind, few in ((IMPOSTOR, found.impostor), (GENUINE, found.genuine)):
        assert list(few) == [int(survey.counts[kind, i : i + BINS // 16].sum()) for i in range(0, BINS, BINS // 16)]


def test_a_curve_needs_both_kinds():
    counts = np.zeros((2, BINS), np.int64)
    counts[IMPOSTOR, 5] = 3
    none = np.empty(0)
    assert Survey(counts, none, none).curve() == []


def test_a_row_without_direction_is_named():
    spoiled = faces(5, 30)
    spoiled.features[21] = np.nan
    with pytest.raises(UserError, match="features: row 21 is zero, NaN or infinite"):
        survey_pairs(Pairing(spoiled), 3, 1 << 30)
