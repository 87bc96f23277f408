"""Numbers as table cells and text."""

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


def points(difference: float) -> str:
    """A difference of fractions, in points of per cent."""
    return f"{100 * difference:+.2f}".replace("-", "\N{MINUS SIGN}")


def quantity(value: int, unit: str, short: bool = False) -> str:
    """A count with a decimal prefix; bytes in MB and, unless ``short``, in MiB as well."""
    if unit == "B":
        return f"{value / 1e6:.4g} MB" + ("" if short else f" = {value / 2**20:.2f} MiB")
    power, prefix = next(((p, s) for p, s in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if value >= p), (1, ""))
    return f"{value / power:.4g} {prefix}{unit}".rstrip()


def duration(seconds: float) -> str:
    """Seconds as minutes:seconds, with hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
