"""Which charts the page of nights shows: scores, data, cost, time."""

from __future__ import annotations

from collections.abc import Sequence

from distill.nightly.pages.charts import Part, Trial, bars, levels, trials
from distill.nightly.pages.lines import FINDINGS, Comparison, NightLine
from distill.report.charts import Figure, Scale

SHOWN = 90
"""Nights that the charts go back; the table has all."""
MOST = 8
"""Charts of scores; of more sets and metrics, those that the latest night names first."""
TIMES = {
    "freeze": ("freeze",),
    "signals": ("signals",),
    "vet": ("vet",),
    "train": ("train",),
    "export and check": ("export", "parity", "check"),
    "verify": ("verify",),
    "judge and promote": ("judge", "promote", "report"),
}
"""Stages that share a colour."""
_UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def score_figures(
    nights: Sequence[NightLine], keys: Sequence[tuple[str, str]], back_to: NightLine | None = None
) -> list[Figure]:
    """One chart for each set and metric: the night's student with its interval, and the champion.

    ``back_to`` is the night whose student was put back into service after the last one.
    """
    shown = nights[-SHOWN:]
    figures = []
    for key in keys[:MOST]:
        found = [_trial(night, score) for night in shown if (score := night.score(key)) is not None]
        if found:
            name, metric = key
            back = None if back_to is None else back_to.score(key)
            now = None if back is None else back.challenger
            figures.append(trials(name, metric, found, Scale(percent=True), _span(shown), now))
    return figures


def data_figures(nights: Sequence[NightLine]) -> list[Figure]:
    """Growth of images and people, what was new, and what vetting found in it."""
    shown = nights[-SHOWN:]
    if not shown:
        return []
    numbers, span = [night.number for night in shown], _span(shown)
    found = [
        Part(name, [night.findings.get(kind) for night in shown], colour)
        for (kind, name), colour in zip(FINDINGS.items(), (7, 6, 2, 5), strict=True)
    ]
    return [
        levels("Images", "frozen that night", numbers, [Part("images", [n.images for n in shown], 1)], span),
        levels("People", "frozen that night", numbers, [Part("people", [n.people for n in shown], 3)], span),
        bars("New images", "since the night before", numbers, [Part("new", [n.new_images for n in shown], 1)], span),
        bars("What vetting found", "images, or people", numbers, found, span),
    ]


def cost_figures(nights: Sequence[NightLine]) -> list[Figure]:
    """FLOPs and bytes of each night's file."""
    shown = nights[-SHOWN:]
    if not shown:
        return []
    numbers, span = [night.number for night in shown], _span(shown)
    flops = Part("FLOPs", [n.flops for n in shown], 4)
    size = Part("bytes", [n.file_bytes for n in shown], 8)
    return [
        levels("Counter-FLOPs", "of one crop", numbers, [flops], span),
        levels("Size", "bytes of all that ships", numbers, [size], span),
    ]


def duration_figures(nights: Sequence[NightLine]) -> list[Figure]:
    """Time of each night by what it went to."""
    shown = nights[-SHOWN:]
    if not shown:
        return []
    longest = max(night.total_s for night in shown)
    per, unit = next(((s, name) for s, name in _UNITS if longest >= 2 * s), _UNITS[-1])
    parts = [
        Part(name, [sum(night.seconds.get(stage, 0.0) for stage in stages) / per for night in shown], colour)
        for colour, (name, stages) in enumerate(TIMES.items(), start=1)
    ]
    return [bars("Time", unit, [night.number for night in shown], parts, _span(shown))]


def _span(nights: Sequence[NightLine]) -> tuple[int, int]:
    return nights[0].number, nights[-1].number


def _trial(night: NightLine, score: Comparison) -> Trial:
    promoted = night.state == "promoted"
    return Trial(
        night=night.number,
        score=score.challenger,
        between=score.around,
        service=score.challenger if promoted else score.champion,
        version=(night.version or "?") if promoted else None,
    )
