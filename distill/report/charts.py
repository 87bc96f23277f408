"""Charts as inline SVG. Colours are classes, so that the style sheet decides on them for light and dark.

Each chart is small (360 x 210 units) and keeps its text readable on a telephone: a wide page shows several in a row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from markupsafe import Markup

from distill.report.axis import Axis, axis_for

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 10, 34
MAX_POINTS = 240
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class ChartLine:
    """A named curve; ``colour`` counts from 1, ``dashed`` marks something to compare with.

    ``band`` are (x, low, high) of its confidence interval; ``dots`` marks points between which nothing was measured.
    """

    name: str
    points: Points
    colour: int
    dashed: bool = False
    band: Sequence[tuple[float, float, float]] = ()
    dots: bool = False

    @property
    def last(self) -> float:
        return self.points[-1][1]


@dataclass(frozen=True)
class Figure:
    """A drawn chart with what stands around it."""

    title: str
    note: str
    svg: Markup
    legend: tuple[tuple[int, str, str], ...]
    """(colour, name, last value)"""


@dataclass(frozen=True)
class Scale:
    """How the y axis of a chart runs: logarithmic, in per cent, from zero."""

    log: bool = False
    percent: bool = False
    zero: bool = False

    def axis(self, values: Sequence[float]) -> Axis:
        return axis_for(values, self.log, self.percent, self.zero)


LINEAR = Scale()


def curves(title: str, lines: Sequence[ChartLine], note: str = "", scale: Scale = LINEAR) -> Figure:
    """Curves over training steps, thinned by means; points that are not finite are left out."""
    thin = [replace(line, points=_thinned(line.points)) for line in lines]
    drawn = [line for line in thin if line.points]
    if not drawn:
        return Figure(title, "no finite values", Markup(""), ())
    y = scale.axis([v for line in drawn for _, v in line.points])
    last_step = max(step for line in drawn for step, _ in line.points)
    x = Axis(0, max(1.0, last_step))
    last = [y.text(line.last) if scale.percent else f"{line.last:.4g}" for line in drawn]
    legend = tuple((line.colour, line.name, text) for line, text in zip(drawn, last, strict=True))
    body = frame(x, y, "step") + Markup("").join(polyline(line, x, y) for line in drawn)
    return Figure(title, note, drawing(title, body), legend)


def roc(title: str, lines: Sequence[ChartLine], lowest_fpr: float) -> Figure:
    """True positive rate over the logarithm of the false positive rate, as the steps that it really is."""
    low = 10 ** math.floor(math.log10(lowest_fpr) + 1e-9)
    x, y = Axis(low, 1.0, log=True), Axis(0.0, 1.0, percent=True)
    stepped = [replace(line, points=_stairs(line.points)) for line in lines]
    body = frame(x, y, "false positive rate") + Markup("").join(polyline(line, x, y) for line in stepped)
    legend = tuple((line.colour, line.name, "") for line in lines)
    return Figure(title, "true positive rate", drawing(title, body), legend)


def rates(title: str, note: str, lines: Sequence[ChartLine], axes: tuple[Axis, Axis]) -> Figure:
    """Curves over the false positive rate, each above the band of its confidence."""
    x, y = axes
    body = frame(x, y, "false positive rate") + _uprights(x)
    body += Markup("").join(_band(line, x, y) for line in lines if len(line.band) > 1)
    body += Markup("").join(polyline(line, x, y) + _dots(line, x, y) for line in lines if line.points)
    return Figure(title, note, drawing(title, body), tuple((line.colour, line.name, "") for line in lines))


def histogram(
    title: str, edges: Sequence[float], groups: Sequence[tuple[str, Sequence[int], int]], mark: float | None = None
) -> Figure:
    """Shares of each group (name, counts, colour) by value; ``mark`` is a threshold on the value axis."""
    used = [i for i in range(len(edges) - 1) if any(counts[i] for _, counts, _ in groups)]
    span = range(max(0, used[0] - 1), min(len(edges) - 1, used[-1] + 2))
    shares = [[counts[i] / max(1, sum(counts)) for i in span] for _, counts, _ in groups]
    x, y = Axis(edges[span[0]], edges[span[-1] + 1]), axis_for([0.0, *(s for row in shares for s in row)], percent=True)
    body = frame(x, y, "cosine")
    bounds = [edges[i] for i in (*span, span[-1] + 1)]
    for (_, _, colour), row in zip(groups, shares, strict=True):
        body += _area(bounds, row, colour, x, y)
    if mark is not None:
        at = across(x, mark)
        body += Markup('<line class="mark" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(at, TOP, HEIGHT - BOTTOM)
    legend = tuple((colour, name, "") for name, _, colour in groups)
    return Figure(title, "share of pairs", drawing(title, body), legend)


def drawing(title: str, body: Markup) -> Markup:
    """A complete chart around what is drawn in it."""
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, title)
    return head + body + Markup("</svg>")


def frame(x: Axis, y: Axis, x_name: str) -> Markup:
    """Grid lines, tick texts and the name of the x axis."""
    parts: list[Markup] = []
    for value, text in y.ticks():
        at = upward(y, value)
        parts.append(Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(LEFT, WIDTH - RIGHT, at, at))
        parts.append(Markup('<text class="tick end" x="{}" y="{}">{}</text>').format(LEFT - 6, at + 3.5, text))
    for value, text in x.ticks():
        at = across(x, value)
        parts.append(Markup('<text class="tick mid" x="{}" y="{}">{}</text>').format(at, HEIGHT - BOTTOM + 14, text))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(Markup('<text class="name mid" x="{}" y="{}">{}</text>').format(middle, HEIGHT - 5, x_name))
    return Markup("").join(parts)


def _uprights(x: Axis) -> Markup:
    """Grid lines at the ticks of the x axis."""
    line = Markup('<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>')
    return Markup("").join(line.format(across(x, value), TOP, HEIGHT - BOTTOM) for value, _ in x.ticks())


def _band(line: ChartLine, x: Axis, y: Axis) -> Markup:
    """Along the upper ends of the intervals, and back along the lower ones."""
    there = [(at, high) for at, _, high in line.band]
    back = [(at, low) for at, low, _ in reversed(line.band)]
    corners = " ".join(f"{across(x, a)},{upward(y, b)}" for a, b in (*there, *back))
    return Markup('<polygon class="band c{}" points="{}"/>').format(line.colour, corners)


def _dots(line: ChartLine, x: Axis, y: Axis) -> Markup:
    dot = Markup('<circle class="dot c{}" cx="{}" cy="{}" r="2.5"/>')
    return Markup("").join(dot.format(line.colour, across(x, a), upward(y, b)) for a, b in line.points if line.dots)


def polyline(line: ChartLine, x: Axis, y: Axis) -> Markup:
    """A curve, or the dot that is all there is of one."""
    dots = " ".join(f"{across(x, a)},{upward(y, b)}" for a, b in line.points)
    kind = f"line c{line.colour}" + (" dashed" if line.dashed else "")
    if len(line.points) == 1:
        a, b = line.points[0]
        return Markup('<circle class="dot c{}" cx="{}" cy="{}" r="3"/>').format(line.colour, across(x, a), upward(y, b))
    return Markup('<polyline class="{}" points="{}"><title>{}</title></polyline>').format(kind, dots, line.name)


def _area(bounds: Sequence[float], heights: Sequence[float], colour: int, x: Axis, y: Axis) -> Markup:
    """A filled staircase."""
    base = upward(y, 0.0)
    path = [f"M{across(x, bounds[0])},{base}"]
    for left, right, height in zip(bounds[:-1], bounds[1:], heights, strict=True):
        path.append(f"L{across(x, left)},{upward(y, height)} L{across(x, right)},{upward(y, height)}")
    end = across(x, bounds[-1])
    return Markup('<path class="area c{}" d="{} L{},{} Z"/>').format(colour, " ".join(path), end, base)


def across(axis: Axis, value: float) -> float:
    """Where a value of the x axis lies, in units of the chart."""
    return round(LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT), 1)


def upward(axis: Axis, value: float) -> float:
    """Where a value of the y axis lies; SVG counts downwards."""
    return round(HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - BOTTOM - TOP), 1)


def _thinned(points: Points) -> list[tuple[float, float]]:
    """At most ``MAX_POINTS`` means of neighbours; the last point is itself."""
    finite = [(float(a), float(b)) for a, b in points if math.isfinite(b)]
    size = math.ceil(len(finite) / MAX_POINTS)
    if size <= 1:
        return finite
    parts = [finite[i : i + size] for i in range(0, len(finite), size)]
    return [(_mean(a for a, _ in part), _mean(b for _, b in part)) for part in parts] + finite[-1:]


def _stairs(points: Points) -> list[tuple[float, float]]:
    """Horizontal, then vertical: between two corners the rate is that of the stricter one."""
    out = [*points[:1]]
    for (_, before), (a, b) in pairwise(points):
        out += [(a, before), (a, b)]
    return out


def _mean(values: Iterable[float]) -> float:
    items = list(values)
    return sum(items) / len(items)
