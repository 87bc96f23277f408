"""The page of ``make curves``: several models on the same faces, in one HTML file that opens offline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distill.files.atomic import write_page
from distill.format import percent_cell
from distill.metrics.allpairs.result import Point
from distill.metrics.roc import Histogram
from distill.redact import redact_text
from distill.report.axis import Axis, axis_for
from distill.report.charts import ChartLine, Figure, histogram, rates
from distill.report.run_charts import GENUINE, IMPOSTOR
from distill.report.run_page import ExamplePair, html_templates


@dataclass(frozen=True)
class HardPair:
    """A pair on the wrong side: where it stands, its cosine, and its pictures where these may be shown."""

    where: str
    cosine: float
    same: bool
    picture: ExamplePair | None = None


@dataclass(frozen=True)
class ModelCurves:
    """One model on one set.

    ``curve`` are (FPR, TPR), ascending; ``points`` are what an operator chooses from; ``band`` are those and more that
    have intervals. ``dots``: the curve is known at its points only. ``hard`` are the pairs furthest on the
    wrong side.
    """

    name: str
    curve: Sequence[tuple[float, float]]
    points: Sequence[Point]
    band: Sequence[Point]
    impostor: int
    genuine: int
    histogram: Histogram | None = None
    hard: Sequence[HardPair] = ()
    dots: bool = False
    note: str = ""

    @property
    def table(self) -> list[tuple[str, ...]]:
        """(FPR asked, threshold, FPR reached, impostors accepted, TPR, interval), or (FPR asked, why there is none)."""
        return [self._row(point) for point in self.points]

    def rate(self, fpr: float) -> tuple[str, str]:
        """TPR and interval at one of the FPRs of ``points``."""
        found = [point for point in self.points if point.fpr == fpr and point.tpr is not None]
        return (percent_cell(found[0].tpr), _range(found[0])) if found else ("-", "")

    @property
    def strictest(self) -> Point | None:
        """The point of lowest FPR that the pairs support."""
        return min((point for point in self.points if point.tpr is not None), key=lambda point: point.fpr, default=None)

    def _row(self, point: Point) -> tuple[str, ...]:
        if point.tpr is None or point.threshold is None or point.impostor_accepted is None:
            return small(point.fpr), point.missing or ""
        upwards = math.ceil(point.threshold * 1e6) / 1e6  # downwards would let the next impostor in
        reached = small(point.impostor_accepted / self.impostor)
        return (
            small(point.fpr),
            f"{upwards:.6f}",
            reached,
            f"{point.impostor_accepted:,}",
            percent_cell(point.tpr),
            _range(point),
        )


@dataclass(frozen=True)
class SetCurves:
    """All models on one set of faces; intervals resample ``over`` ("persons" or "pairs"), ``confidence`` None: none."""

    name: str
    models: Sequence[ModelCurves]
    over: str
    confidence: float | None

    @property
    def fprs(self) -> list[tuple[float, str]]:
        """Every FPR that some model has a TPR at, descending, and its text."""
        known = {point.fpr for model in self.models for point in model.points if point.tpr is not None}
        return [(fpr, small(fpr)) for fpr in sorted(known, reverse=True)]

    @property
    def figures(self) -> list[Figure]:
        """ROC and DET."""
        return [roc_of(self.models), det_of(self.models)]

    @property
    def histograms(self) -> list[Figure]:
        """Similarities of each model that has them, with the threshold of its strictest point."""
        return [
            _similarities(model.name, model.histogram, model.strictest)
            for model in self.models
            if model.histogram is not None
        ]


@dataclass(frozen=True)
class CurvesPage:
    """Contents of the page; ``faces``: whether pictures of people are shown."""

    title: str
    finished: str
    command: str
    sets: Sequence[SetCurves]
    faces: bool


def write_curves(path: Path, page: CurvesPage) -> None:
    """Write ``page`` as one HTML file; UserError where that is impossible."""
    template = html_templates().get_template("curves.html.j2")
    write_page(path, template.render(page=page, command=redact_text(page.command)))


def roc_of(models: Sequence[ModelCurves]) -> Figure:
    """True positive rate, linear, over the logarithm of the false positive rate."""
    lines = _lines(models, upside_down=False)
    values = _heights(lines)
    return rates("ROC", "true positive rate", lines, (_fpr_axis(models), axis_for([*values, 1.0], percent=True)))


def det_of(models: Sequence[ModelCurves]) -> Figure:
    """False negative over false positive rate, both logarithmic; a rate of 0 lies on the lower edge.

    Martin et al., The DET Curve in Assessment of Detection Task Performance, Eurospeech 1997, have normal deviates in
    place of the logarithms, which show less of rare errors.
    """
    lines = _lines(models, upside_down=True)
    values = _heights(lines)
    low = _decade_below(1 / max(model.genuine for model in models))
    high = 10 ** math.ceil(math.log10(max(10 * low, *values)) - 1e-9)
    return rates("DET", "false negative rate", lines, (_fpr_axis(models), Axis(low, high, log=True)))


def small(value: float) -> str:
    """A rate, short: 0.01, 1e-4, 0.00167."""
    if value == 0 or value >= 1e-3:
        return f"{value:.3g}"
    mantissa, _, power = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(power)}"


def _lines(models: Sequence[ModelCurves], upside_down: bool) -> list[ChartLine]:
    """A line for each model; of rates of errors if ``upside_down``."""
    return [
        ChartLine(
            model.name,
            [(fpr, 1 - tpr if upside_down else tpr) for fpr, tpr in model.curve],
            colour,
            band=_band(model.band, upside_down),
            dots=model.dots,
        )
        for colour, model in enumerate(models, start=1)
    ]


def _heights(lines: Sequence[ChartLine]) -> list[float]:
    """Where curves and bands are."""
    return [
        *(y for line in lines for _, y in line.points),
        *(y for line in lines for _, low, high in line.band for y in (low, high)),
    ]


def _band(points: Sequence[Point], upside_down: bool) -> list[tuple[float, float, float]]:
    ends = sorted((point.fpr, *point.interval) for point in points if point.interval is not None)
    return [(fpr, 1 - high, 1 - low) for fpr, low, high in ends] if upside_down else ends


def _fpr_axis(models: Sequence[ModelCurves]) -> Axis:
    lowest = min((fpr for model in models for fpr, _ in model.curve), default=0.1)
    return Axis(_decade_below(min(lowest, 0.1)), 1.0, log=True)


def _decade_below(value: float) -> float:
    return 10.0 ** math.floor(math.log10(value) + 1e-9)


def _similarities(name: str, found: Histogram, point: Point | None) -> Figure:
    groups = [("genuine", found.genuine, GENUINE), ("impostor", found.impostor, IMPOSTOR)]
    return histogram(name, found.edges, groups, mark=point.threshold if point else None)


def _range(point: Point) -> str:
    if point.interval is None:
        return ""
    low, high = point.interval
    return f"{100 * low:.2f} to {100 * high:.2f}" + (", sampled" if point.evidence == "sample" else "")
