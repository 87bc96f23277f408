from __future__ import annotations

import numpy as np
import pytest

from distill.errors import UserError
from distill.losses.objective import Schedule


def test_constant_unless_told() -> None:
    assert [Schedule()(p) for p in (0.0, 0.3, 1.0)] == [1, 1, 1]


def test_warm_up_constant_decay() -> None:
    schedule = Schedule(warmup_fraction=0.2, decay_from_fraction=0.6, final_factor=0.5)
    progress = [0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0]
    np.testing.assert_allclose([schedule(p) for p in progress], [0, 0.5, 1, 1, 1, 0.75, 0.5])


def test_cosine_decay() -> None:
    schedule = Schedule(decay_from_fraction=0.0, final_factor=0.0, decay="cosine")
    got = [schedule(p) for p in (0, 0.25, 0.5, 1)]
    np.testing.assert_allclose(got, [1, (1 + np.cos(np.pi / 4)) / 2, 0.5, 0], atol=1e-15)


def test_may_grow_at_the_end() -> None:
    assert Schedule(decay_from_fraction=0.5, final_factor=3.0)(1.0) == 3


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_continuous_and_bounded_past_both_ends(decay: str) -> None:
    schedule = Schedule(0.3, 0.5, 0.1, decay)  # type: ignore[arg-type]
    factors = np.array([schedule(p) for p in np.linspace(-0.1, 1.1, 2001)])
    assert np.abs(np.diff(factors)).max() < 0.01
    assert (factors[0], factors[-1]) == (0, pytest.approx(0.1))
    assert factors.min() >= 0
    assert factors.max() <= 1


@pytest.mark.parametrize(
    "options",
    [
        {"warmup_fraction": -0.1},
        {"warmup_fraction": 0.6, "decay_from_fraction": 0.5},
        {"decay_from_fraction": 1.5},
        {"decay_from_fraction": 0.5, "final_factor": -1.0},
        {"decay_from_fraction": 0.5, "final_factor": float("nan")},
        {"decay": "step"},
        {"final_factor": 0.5},
    ],
)
def test_bad_options(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match="schedule"):
        Schedule(**options)  # type: ignore[arg-type]
