"""Champion and challenger on one set: every figure of every slice, with an interval or with why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from distill.config.scoring_jobs import JudgeConf
from distill.judge.benchmark import ALL, Benchmark
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.paired import Estimate, Metric, estimate, figures, resampled, scoring, units, units_needed
from distill.metrics.roc import Bools, Floats

LEAST_ACCEPTED = 30
"""Impostor pairs that the set lets in at its FPR: from thirty on, the FPR itself is known to a fifth."""


@dataclass(frozen=True, eq=False)
class Case:
    """A set and both models' scores: squared distances [p] of unit vectors, NaN where there are none.

    ``champion`` is None where there is no champion yet, ``anchor`` where no model is held on to. ``trouble`` is what
    kept the challenger from being scored.
    """

    benchmark: Benchmark
    challenger: Floats
    champion: Floats | None
    anchor: Floats | None = None
    trouble: str = ""

    def against_anchor(self) -> Case:
        """The complete set, with the anchor in the champion's place."""
        return replace(self, benchmark=replace(self.benchmark, columns={}), champion=self.anchor)


@dataclass(frozen=True)
class Compared:
    """One figure of one slice; ``own`` is the challenger's. ``shortage`` explains too few pairs, or is ""."""

    set: str
    slice: str
    metric: Metric
    margin: float
    own: Estimate | None
    champion: float | None
    difference: Estimate | None
    shortage: str


def compare(case: Case, settings: JudgeConf) -> list[Compared]:
    """Every metric of every slice, the complete set first; all scores have to be finite."""
    benchmark = case.benchmark
    slices = benchmark.slices(units_needed(settings.slice_margin.accuracy, settings.confidence))
    masks = np.stack(list(slices.values()))
    models = [case.challenger] if case.champion is None else [case.challenger, case.champion]
    scored = [scoring(distances, benchmark.same) for distances in models]
    once = np.ones((1, len(benchmark.same)))
    point = np.stack([figures(one, once, masks, settings.fpr)[0] for one in scored])
    bootstrap = Bootstrap(settings.resamples, seed=settings.seed)
    drawn = resampled(scored, masks, settings.fpr, bootstrap, benchmark.persons)
    return list(_each(case, list(slices), masks, point, drawn, settings))


def _each(
    case: Case, names: list[str], masks: Bools, point: Floats, drawn: Floats, settings: JudgeConf
) -> Iterator[Compared]:
    """From ``point`` [k s m] and ``drawn`` [k r s m], challenger first, to what is compared."""
    counts = units(case.benchmark.same, masks, case.benchmark.persons)
    for s, name in enumerate(names):
        for m, metric in enumerate(Metric):
            count, at, values = int(counts[s, m]), point[:, s, m], drawn[:, :, s, m]
            own, champion, difference = estimate(float(at[0]), values[0], count, settings.confidence), None, None
            if case.champion is not None and own is not None:
                champion = float(at[1])
                difference = estimate(float(at[0] - at[1]), values[0] - values[1], count, settings.confidence)
            shortage = _shortage(case.benchmark, count, settings, name, metric)
            if own is None and not shortage:
                shortage = "the figure is undefined"
            margin = _margin_of(settings, name, metric)
            yield Compared(case.benchmark.name, name, metric, margin, own, champion, difference, shortage)


def main_shortage(benchmark: Benchmark, settings: JudgeConf) -> str:
    """Why no model can be judged by the main figure on this set; "" where one can."""
    counts = units(benchmark.same, np.ones((1, len(benchmark.same)), bool), benchmark.persons)
    return _shortage(benchmark, int(counts[0, list(Metric).index(settings.main)]), settings, ALL, settings.main)


def _margin_of(settings: JudgeConf, name: str, metric: Metric) -> float:
    """By how much the figure may be worse on this slice."""
    return (settings.margin if name == ALL else settings.slice_margin).of(metric)


def _shortage(benchmark: Benchmark, count: int, settings: JudgeConf, name: str, metric: Metric) -> str:
    """Why so many pairs or persons cannot show that a loss is within the margin; decided before any model is seen."""
    impostor = int((~benchmark.same).sum())
    if metric is Metric.tpr_at_fpr and impostor * settings.fpr * (1 + 1e-12) < LEAST_ACCEPTED:
        return f"{impostor} impostor pairs in the set; {round(LEAST_ACCEPTED / settings.fpr)} needed at this FPR"
    needed = units_needed(_margin_of(settings, name, metric), settings.confidence)
    if count >= needed:
        return ""
    over = "pairs" if benchmark.persons is None else "pairs or people"
    kind = {Metric.accuracy: "", Metric.auc: " of the rarer kind", Metric.tpr_at_fpr: " of the genuine kind"}[metric]
    return f"{count} {over}{kind}; {needed} needed for a margin of {_margin_of(settings, name, metric):g}"
