from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from distill.training.throughput import SERIES, Throughput, ThroughputMeter


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(meter: Throughput, clock: Clock, steps: range, seconds_per_step: float) -> None:
    for step in steps:
        clock.now += seconds_per_step
        meter.update(step)


def test_rate_and_time_left(clock: Clock) -> None:
    meter = Throughput(64, clock=clock)
    assert meter.seconds_left(0, 100) is None
    meter.pause(0)
    run(meter, clock, range(1, 11), 0.5)
    assert meter.images_per_s == pytest.approx(128)
    assert meter.seconds_left(10, 100) == pytest.approx(45)
    assert meter.seconds_left(100, 100) == 0


def test_a_resumed_run_does_not_count_the_steps_before(clock: Clock) -> None:
    meter = Throughput(10, clock=clock)
    meter.pause(5000)
    run(meter, clock, range(5001, 5004), 1.0)
    assert meter.images_per_s == pytest.approx(10)


def test_the_rate_follows_the_last_window(clock: Clock) -> None:
    meter = Throughput(10, window_s=5, clock=clock)
    meter.pause(0)
    run(meter, clock, range(1, 20), 1.0)
    run(meter, clock, range(20, 60), 0.25)
    assert meter.images_per_s == pytest.approx(40)


def test_pauses_do_not_count(clock: Clock) -> None:
    meter = Throughput(10, clock=clock)
    meter.pause(0)
    run(meter, clock, range(1, 5), 1.0)
    clock.now += 1000  # a verification
    meter.pause(4)
    assert meter.images_per_s == pytest.approx(10)
    run(meter, clock, range(5, 9), 1.0)
    assert meter.images_per_s == pytest.approx(10)


def test_accumulated_batches_are_one_step(clock: Clock) -> None:
    meter = Throughput(10, clock=clock)
    meter.pause(0)
    for step in (0, 0, 1, 1, 1, 2):  # three batches for a step of one second
        clock.now += 1 / 3
        meter.update(step)
    assert meter.images_per_s == pytest.approx(10)


def test_the_meter_reports_every_so_many_steps_and_on_one_rank() -> None:
    said: list[tuple[int, Any]] = []
    meter = ThroughputMeter(8, lambda step, values: said.append((step, dict(values))), every_steps=20)
    other = ThroughputMeter(8, lambda step, values: pytest.fail("rank 1 spoke"), every_steps=20)
    for callback, zero in [(meter, True), (other, False)]:
        trainer: Any = SimpleNamespace(global_step=100, is_global_zero=zero)
        module: Any = None
        callback.on_train_epoch_start(trainer, module)
        for step in range(101, 151):
            trainer.global_step = step
            callback.on_train_batch_end(trainer, module, None, None, 0)
    assert [step for step, _ in said] == [120, 140]
    assert said[0][1][SERIES] > 0
