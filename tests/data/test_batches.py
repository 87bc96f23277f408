from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from distill.data.batches import Plan, StepOrder
from distill.errors import UserError

PLAN = Plan(batch_size=4, total_steps=17, steps_per_interval=5, seed=3)


def run(order: StepOrder, intervals: int = 4) -> list[np.ndarray]:
    batches = []
    for interval in range(intervals):
        order.set_epoch(interval)
        taken = list(order)
        assert len(taken) == len(order)
        batches += taken
    return batches


def test_intervals_divide_the_run() -> None:
    batches = run(StepOrder(10, PLAN))
    assert len(batches) == 17
    assert all(b.shape == (4, 2) and b.dtype == np.int64 for b in batches)
    order = StepOrder(10, PLAN)
    order.set_epoch(3)
    assert len(order) == 2
    order.set_epoch(4)
    assert list(order) == []


def test_every_visit_shows_every_image_once() -> None:
    rows = np.concatenate(run(StepOrder(10, PLAN)))
    assert rows[:, 1].tolist() == [p // 10 for p in range(68)]
    for visit in range(6):
        assert sorted(rows[rows[:, 1] == visit, 0]) == list(range(10))
    orders = {tuple(rows[rows[:, 1] == visit, 0]) for visit in range(6)}
    assert len(orders) == 6


def test_any_step_can_be_the_first() -> None:
    batches = run(StepOrder(10, PLAN))
    for step in (16, 3, 0, 9):
        assert np.array_equal(StepOrder(10, PLAN).batch(step), batches[step])


def test_longer_intervals_and_a_longer_run_change_nothing_before() -> None:
    other = Plan(batch_size=4, total_steps=40, steps_per_interval=40, seed=3)
    assert np.array_equal(run(StepOrder(10, PLAN)), run(StepOrder(10, other), 1)[:17])


def test_rows_that_are_shown_take_the_places_of_all() -> None:
    shown = np.array([3, 4, 8, 11, 12, 30])
    rows = np.concatenate(run(StepOrder(shown, PLAN)))
    for visit in range(11):
        assert sorted(rows[rows[:, 1] == visit, 0]) == shown.tolist()
    assert np.array_equal(run(StepOrder(np.arange(10), PLAN)), run(StepOrder(10, PLAN)))


def test_seeds_differ() -> None:
    assert not np.array_equal(run(StepOrder(10, PLAN)), run(StepOrder(10, Plan(4, 17, 5, 4))))


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_the_global_batch(world: int) -> None:
    together = run(StepOrder(10, Plan(4 * world, 17, 5, 3)))
    ranks = [run(StepOrder(10, PLAN, rank, world)) for rank in range(world)]
    for step, batch in enumerate(together):
        for rank in range(world):
            assert np.array_equal(ranks[rank][step], batch[rank::world])


def test_a_batch_larger_than_the_set() -> None:
    batch = StepOrder(3, Plan(8, 2, 2, 0)).batch(0)
    assert Counter(batch[:, 0].tolist()) == Counter(batch[:6, 0].tolist()) + Counter(batch[6:, 0].tolist())
    assert batch[:, 1].tolist() == [0, 0, 0, 1, 1, 1, 2, 2]


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"total_steps": 0}, {"steps_per_interval": -1}, {"seed": -1}])
def test_wrong_plans_are_named(wrong: dict[str, int]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(UserError, match=f"{name} is {value}; expected"):
        Plan(**({"batch_size": 1, "total_steps": 1, "steps_per_interval": 1, "seed": 0} | wrong))
