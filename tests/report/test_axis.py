from __future__ import annotations

import math

import numpy as np
import pytest

from distill.report.axis import Axis, axis_for


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.3, 17), (0.912, 0.987), (0, 2e-3), (1e5, 3e6), (-1e-7, 1e-7)])
def test_linear_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    axis = Axis(low, high)
    values = [value for value, _ in axis.ticks()]
    steps = np.diff(values)
    assert 2 <= len(values) <= 6
    assert all(low - 1e-9 * abs(high) <= v <= high + 1e-9 * abs(high) for v in values)
    assert np.allclose(steps, steps[0])
    assert round(steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9), 6) in (1, 2, 2.5, 5)


def test_log_ticks_are_powers_of_ten() -> None:
    assert [text for _, text in Axis(1e-3, 1, log=True).ticks()] == ["0.001", "0.01", "0.1", "1"]
    assert [value for value, _ in Axis(2, 3, log=True).ticks()] == [2, 3]


def test_places() -> None:
    assert Axis(10, 20).place(15) == 0.5
    assert Axis(1e-4, 1, log=True).place(1e-2) == pytest.approx(0.5)
    assert Axis(1e-4, 1, log=True).place(0) == 0
    assert Axis(0, 1).place(7) == 1


@pytest.mark.parametrize("values", [[1, 2, 3], [0.97, 0.99], [5, 5], [0, 0], [-2, 7], [-4, -3]])
def test_axis_holds_the_values(values: list[float]) -> None:
    axis = axis_for(values)
    assert axis.low <= min(values) <= max(values) <= axis.high
    assert axis_for(values, zero=True).low <= 0
    assert axis_for(values, log=True).log == (min(values) > 0)


def test_percent_ends_at_a_hundred() -> None:
    assert axis_for([0.5, 1.0], percent=True).high == 1
    assert axis_for([0.0, 0.0], percent=True).low == 0
    assert Axis(0, 1, percent=True).text(0.25) == "25 %"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (1000, "1000"), (72_000, "72k"), (2.5e6, "2.5M"), (1e9, "1G"), (2e-4, "2e-4")]
)
def test_texts(value: float, text: str) -> None:
    assert Axis(0, 1).text(value) == text


@pytest.mark.parametrize("lowest", [1e-3, 1e-8, 1e-9, 1e-12, 1e-18])
def test_many_decades_have_few_ticks_that_end_at_the_last(lowest: float) -> None:
    ticks = Axis(lowest, 1, log=True).ticks()
    assert len(ticks) <= 9
    assert ticks[-1] == (1, "1")
    steps = np.diff(np.log10([value for value, _ in ticks]))
    assert np.allclose(steps, steps[0])
