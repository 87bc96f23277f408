"""Charts over nights: what was trained against what was in service, and bars of what a night is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from distill.report.axis import Axis, axis_for
from distill.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Figure, Scale, across, drawing, frame, upward

NAMED = 6
"""Champion changes that have their version beside them; of more, the versions would touch."""
MOST_LINES = 24
"""Champion changes drawn as full vertical lines; more of them are ticks at the foot."""
CHALLENGER, CHAMPION = 1, 2
_TICK = 9
_MANY = 40  # nights from which on dots are small


@dataclass(frozen=True)
class Trial:
    """A night's student: its score, and the interval in which it lies when the champion's own score is taken as known.

    ``service`` is the score of what is in service after that night; ``version`` is set where the student went there.
    """

    night: int
    score: float
    between: tuple[float, float] | None = None
    service: float | None = None
    version: str | None = None


@dataclass(frozen=True)
class Part:
    """One colour of a bar chart: a value for each night, in order of the nights; None is nothing."""

    name: str
    values: Sequence[float | None]
    colour: int


def trials(
    title: str, note: str, found: Sequence[Trial], scale: Scale, span: tuple[int, int], back_to: float | None = None
) -> Figure:
    """Each night's student as a dot, the champion as stairs, champion changes as uprights; ``span`` are first and last.

    A dot is filled where its student was promoted. ``back_to`` is the score of what was put back into service since.
    """
    ends = [end for trial in found for end in (trial.between or ())]
    served = [trial.service for trial in found if trial.service is not None]
    served += [] if back_to is None else [back_to]
    x, y = _nights(span), scale.axis([*(trial.score for trial in found), *ends, *served])
    body = frame(x, y, "night") + Markup("").join(_changes(found, x))
    body += _stairs(found, back_to, x, y) + Markup("").join(_trial(trial, x, y, span) for trial in found)
    legend = [(CHALLENGER, "trained that night", y.text(found[-1].score))]
    if served:
        legend.append((CHAMPION, "in service", y.text(served[-1])))
    return Figure(title, note, drawing(title, body), tuple(legend))


def bars(title: str, note: str, nights: Sequence[int], parts: Sequence[Part], span: tuple[int, int]) -> Figure:
    """Parts of each night's bar, one on the other; parts that are nothing everywhere are left out."""
    shown = [part for part in parts if any(part.values)]
    if not shown:
        return Figure(title, "nothing", Markup(""), ())
    heights = [sum(part.values[i] or 0 for part in shown) for i in range(len(nights))]
    x, y = _nights(span), _amounts(heights)
    body = frame(x, y, "night") + Markup("").join(_blocks(nights, shown, x, y))
    legend = tuple((part.colour, part.name, "") for part in shown)
    return Figure(title, note, drawing(title, body), legend)


def levels(title: str, note: str, nights: Sequence[int], parts: Sequence[Part], span: tuple[int, int]) -> Figure:
    """What there is after each night, as lines from zero."""
    shown = [part for part in parts if any(value is not None for value in part.values)]
    values = [value for part in shown for value in part.values if value is not None]
    if not values:
        return Figure(title, "nothing", Markup(""), ())
    x, y = _nights(span), _amounts(values)
    body, legend = frame(x, y, "night"), []
    for part in shown:
        points = [(night, value) for night, value in zip(nights, part.values, strict=True) if value is not None]
        body += _line(points, part.colour, x, y)
        legend.append((part.colour, part.name, y.text(points[-1][1])))
    return Figure(title, note, drawing(title, body), tuple(legend))


def _nights(span: tuple[int, int]) -> Axis:
    return Axis(span[0] - 0.5, span[1] + 0.5, whole=True)


def _amounts(values: Sequence[float]) -> Axis:
    """From zero, with integer ticks for counts."""
    return replace(axis_for([0.0, *values], zero=True), whole=all(float(value).is_integer() for value in values))


def _changes(found: Sequence[Trial], x: Axis) -> Iterator[Markup]:
    """An upright for each promotion, and its version where there is room: to the left where the chart ends."""
    changes = [(across(x, trial.night), trial.version) for trial in found if trial.version is not None]
    full, foot = len(changes) <= MOST_LINES, HEIGHT - BOTTOM
    line = Markup('<line class="change{0}" x1="{1}" x2="{1}" y1="{2}" y2="{3}"/>')
    text = Markup('<text class="{}" x="{}" y="{}">{}</text>')
    for at, version in changes:
        yield line.format("" if full else " tick", at, TOP if full else foot - _TICK, foot)
        left = at > WIDTH - RIGHT - 40
        if len(changes) <= NAMED:
            yield text.format("end" if left else "start", at + (-4 if left else 4), foot - 5, version)


def _stairs(found: Sequence[Trial], back_to: float | None, x: Axis, y: Axis) -> Markup:
    """The champion's score: it changes on the night of a promotion and holds until the next one, or a rollback."""
    corners: list[tuple[float, float]] = []
    for trial in found:
        if trial.service is None:
            continue
        if corners:
            corners.append((trial.night, corners[-1][1]))
        corners.append((trial.night, trial.service))
    if not corners:
        return Markup("")
    if back_to is not None:
        since = found[-1].night + 0.25
        corners += [(since, corners[-1][1]), (since, back_to)]
    return _line([*corners, (found[-1].night + 0.5, corners[-1][1])], CHAMPION, x, y)


def _line(points: Sequence[tuple[float, float]], colour: int, x: Axis, y: Axis) -> Markup:
    if len(points) == 1:
        (night, value), dot = points[0], Markup('<circle class="dot c{}" cx="{}" cy="{}" r="3"/>')
        return dot.format(colour, across(x, night), upward(y, value))
    corners = " ".join(f"{across(x, a)},{upward(y, b)}" for a, b in points)
    return Markup('<polyline class="line c{}" points="{}"/>').format(colour, corners)


def _trial(trial: Trial, x: Axis, y: Axis, span: tuple[int, int]) -> Markup:
    at, height = across(x, trial.night), upward(y, trial.score)
    whisker = Markup("")
    if trial.between is not None:
        line = Markup('<line class="whisker c{0}" x1="{1}" x2="{1}" y1="{2}" y2="{3}"/>')
        whisker = line.format(CHALLENGER, at, *(upward(y, end) for end in trial.between))
    kind = "dot" if trial.version else "ring"
    dot = Markup('<circle class="{} c{}" cx="{}" cy="{}" r="{}"><title>night {}: {}</title></circle>')
    size = 2 if span[1] - span[0] >= _MANY else 3.5
    return whisker + dot.format(kind, CHALLENGER, at, height, size, trial.night, y.text(trial.score))


def _blocks(nights: Sequence[int], parts: Sequence[Part], x: Axis, y: Axis) -> Iterator[Markup]:
    width = max(0.5, round(min(26.0, 0.7 * (WIDTH - LEFT - RIGHT) / (x.high - x.low)), 1))
    block = Markup('<rect class="block c{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>')
    for i, night in enumerate(nights):
        base = 0.0
        for part in parts:
            value = part.values[i] or 0.0
            top, bottom = upward(y, base + value), upward(y, base)
            name = f"night {night}, {part.name}: {y.text(value)}"
            if value:
                left = round(across(x, night) - width / 2, 1)
                yield block.format(part.colour, left, top, width, round(bottom - top, 1), name)
            base += value
