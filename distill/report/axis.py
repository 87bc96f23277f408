"""An axis of a chart: where a value lies between 0 and 1, and which ticks are round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_DECADES = 8
"""Between the first and the last tick; of more, some are left out, so that their texts do not touch."""


@dataclass(frozen=True)
class Axis:
    """From ``low`` to ``high``, linear or in powers of ten; ``percent`` writes fractions as per cent.

    ``whole`` has ticks at integers only, for counts.
    """

    low: float
    high: float
    log: bool = False
    percent: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        assert self.low < self.high, (self.low, self.high)
        assert self.low > 0 or not self.log, self.low

    def place(self, value: float) -> float:
        """The position of ``value``, clipped to the axis: 0 at ``low``, 1 at ``high``."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Round values on the axis and their texts."""
        values = self._decades() if self.log else self._steps()
        return [(value, self.text(value)) for value in values]

    def text(self, value: float) -> str:
        """A value as this axis writes it."""
        if self.percent:
            return f"{100 * value:.4g} %"
        if value == 0:
            return "0"
        if abs(value) >= 1e4:
            size, prefix = next((s, p) for s, p in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if abs(value) >= s)
            return f"{value / size:.3g}{prefix}"
        return f"{value:.0e}".replace("e-0", "e-") if abs(value) < 1e-3 else f"{value:.4g}"

    def _decades(self) -> list[float]:
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        step = max(1, math.ceil((last - first) / MOST_DECADES))
        decades = [10.0**power for power in reversed(range(last, first - 1, -step))]
        return decades if len(decades) >= 2 else [self.low, self.high]

    def _steps(self) -> list[float]:
        step = _round_step((self.high - self.low) / 4, (1, 2, 5, 10) if self.whole else (1, 2, 2.5, 5, 10))
        step = max(1.0, step) if self.whole else step
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


def axis_for(values: Sequence[float], log: bool = False, percent: bool = False, zero: bool = False) -> Axis:
    """An axis that holds all ``values``, and with ``zero`` the origin; logarithmic only where all are positive."""
    low, high = min(values), max(values)
    low = min(low, 0.0) if zero else low
    if log and low > 0:
        return Axis(low / 1.15, high * 1.15, log=True, percent=percent)
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    floor = 0.0 if 0 <= low < 0.4 * high else low - room
    floor = max(0.0, floor) if percent and low >= 0 else floor
    return Axis(floor, min(1.0, high + room) if percent and floor < 1 else high + room, percent=percent)


def _round_step(rough: float, factors: Sequence[float]) -> float:
    """The smallest of the factors times a power of ten that is no smaller than ``rough``."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in factors if factor * power >= rough * (1 - 1e-9))
