"""Figures as the cells of a table."""

from __future__ import annotations

Interval = tuple[float, float] | None


def value_cell(value: float | None) -> str:
    """Four digits; a dash where the figure is undefined."""
    return "-" if value is None else f"{value:.4f}"


def interval_cell(interval: Interval, confidence: float) -> str:
    """Both ends and the confidence; a dash where there is no interval."""
    return "-" if interval is None else f"{interval[0]:.4f} … {interval[1]:.4f} ({confidence:.0%})"


def percent_cell(rate: float | None, unit: str = " %") -> str:
    """A rate in per cent with two digits; a dash where it is undefined."""
    return "-" if rate is None else f"{100 * rate:.2f}{unit}"
