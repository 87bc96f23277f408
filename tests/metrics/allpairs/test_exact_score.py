"""The score: on its grid, exact in any order, and never far from a float32 product."""

from __future__ import annotations

import numpy as np
import pytest

from distill.errors import UserError
from distill.metrics.allpairs.exact_score import GRID, STEP, error_bound, exact_score, unit_rows
from reference import allpairs as slow


def rows(count: int, columns: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, columns)) * rng.uniform(0.01, 30, (count, 1))).astype(np.float32)


@pytest.mark.parametrize("columns", [1, 3, 64, 512])
def test_unit_rows_are_those_of_the_loop(columns):
    features = rows(20, columns)
    np.testing.assert_array_equal(unit_rows(features, "x"), [slow.unit_row(row.tolist()) for row in features])


def test_unit_rows_lie_on_the_grid_and_have_length_one():
    unit = unit_rows(rows(50, 512), "x").astype(np.float64)
    assert (unit / GRID == np.rint(unit / GRID)).all()
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=3e-7)


def test_length_does_not_matter():
    features = rows(30, 128)
    np.testing.assert_array_equal(unit_rows(features * np.float32(0.25), "x"), unit_rows(features, "x"))


@pytest.mark.parametrize("columns", [2, 17, 512, 4096])
def test_a_float64_sum_is_exact_in_any_order(columns):
    unit = unit_rows(rows(6, columns), "x")
    unit[1] = unit[0]
    unit[2] = -unit[0]
    order = np.random.default_rng(1).permutation(columns)
    wide = unit.astype(np.float64)
    for i in range(6):
        for j in range(6):
            exact = slow.exact_dot(unit[i].tolist(), unit[j].tolist())
            assert exact == exact_score(unit[i], unit[j])
            assert exact == (wide @ wide.T)[i, j]
            assert exact == np.cumsum((wide[i] * wide[j])[order])[-1]
            assert exact / slow.Fraction(STEP) == round(exact / slow.Fraction(STEP))


def test_scores_are_cosines():
    features = rows(40, 256)
    wide = features.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    unit = unit_rows(features, "x").astype(np.float64)
    np.testing.assert_allclose(unit @ unit.T, wide @ wide.T, atol=1e-7)


@pytest.mark.parametrize("columns", [8, 512])
def test_float32_products_keep_the_bound(columns):
    unit = unit_rows(np.abs(rows(200, columns)), "x")  # of one sign: the worst for rounding
    wide = unit.astype(np.float64)
    assert np.abs(unit @ unit.T - wide @ wide.T).max() < error_bound(columns)
    assert error_bound(columns) == pytest.approx(columns * 2**-24, rel=2e-3)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_row_without_direction_is_named(bad):
    features = rows(5, 4)
    features[3] = 0
    features[3, 1] = bad
    with pytest.raises(UserError, match=r"faces\.npy: row 103 is zero, NaN or infinite"):
        unit_rows(features, "faces.npy", 100)
