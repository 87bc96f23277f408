"""Whether a challenger replaces the champion.

It does where it passed the protocol's check and parity, every score is a number, the main figure reaches the floor,
and is better or, with newer data, not worse than the margin allows, and no guard (every figure of every set and slice)
may be worse than its margin allows. "Not worse" is shown, not assumed: the lower end of the interval of the difference
lies above minus the margin.

Many guards need no correction. The challenger is promoted only if all of them hold, so a promotion is wrong only if
the one guard that is really worse happens to hold as well, and that has the chance of a single test (the
intersection-union test: Berger, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24, 1982).
What many guards cost is power: a challenger as good as the champion is rejected if any of them fails by chance.

Night by night, margins add up. An anchor, a model that does not change with the champion, is guarded against as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from distill.config.scoring_jobs import JudgeConf
from distill.errors import UserError
from distill.judge.benchmark import ALL
from distill.judge.comparison import Case, Compared, compare
from distill.judge.judgement import Finding, Judgement, Kind, Reason
from distill.metrics.paired import Estimate

ANCHOR = "against the anchor"


@dataclass(frozen=True)
class Requirement:
    """Something that was found out before: whether it passed, and what was measured."""

    passed: bool
    text: str


@dataclass(frozen=True)
class Facts:
    """Facts besides scores: the protocol's check, parity, and whether the challenger was trained on newer data."""

    check: Requirement
    parity: Requirement
    newer_data: bool


def judge(cases: Sequence[Case], settings: JudgeConf, facts: Facts) -> Judgement:
    """All reasons for and against the challenger; ``UserError`` where no set is called ``settings.main_set``."""
    main_set = main_set_of([case.benchmark.name for case in cases], settings)
    before = [("check", facts.check), ("parity", facts.parity)]
    reasons = [Reason("requirement", name, _met(found.passed), f"{name}: {found.text}") for name, found in before]
    for case in cases:
        reasons += _judge_set(case, settings, facts, case.benchmark.name == main_set)
    order = ("requirement", "floor", "main", "anchor", "guard")
    reasons.sort(key=lambda reason: order.index(reason.kind))
    stated = asdict(settings)
    del stated["anchor"]  # a path; its scores are in the cases
    return Judgement(tuple(reasons), {case.benchmark.name: _about(case) for case in cases}, stated)


def main_set_of(names: Sequence[str], settings: JudgeConf) -> str:
    """The set where the challenger has to be better: that of the settings, else the first."""
    assert len(set(names)) == len(names) > 0, names
    if settings.main_set not in (None, *names):
        raise UserError(f"judge.main_set is {settings.main_set!r}; expected one of {', '.join(names)}")
    return settings.main_set or names[0]


def _judge_set(case: Case, settings: JudgeConf, facts: Facts, is_main: bool) -> Iterator[Reason]:
    if broken := list(_not_finite(case)):
        yield from broken
        return
    for found in compare(case, settings):
        if is_main and found.slice == ALL and found.metric is settings.main:
            first = case.champion is None
            yield _floor(found, settings) if first else _main(found, settings, facts.newer_data)
        elif case.champion is not None:
            yield _guard(found, settings)
    if case.anchor is not None:
        for found in compare(case.against_anchor(), settings):
            guard = _guard(found, settings)
            yield replace(guard, kind="anchor", slice=ANCHOR, text=f"{ANCHOR}, {guard.text}")


def _not_finite(case: Case) -> Iterator[Reason]:
    """A model that scores with NaN is unfit, and none can be compared with it."""
    for who, scores in (("challenger", case.challenger), ("champion", case.champion), ("anchor", case.anchor)):
        if scores is None or np.isfinite(scores).all():
            continue
        text = f"{case.benchmark.name}: the {who} has no finite score for {(~np.isfinite(scores)).sum():,} of "
        text += f"{len(scores):,} pairs" + (f": {case.trouble}" if who == "challenger" and case.trouble else "")
        yield Reason("requirement", "scores", "fails", text, set=case.benchmark.name, slice=ALL)


def _floor(found: Compared, settings: JudgeConf) -> Reason:
    """The main figure against a fixed value, all that there is to compare with where there is no champion."""
    name, own = settings.name_of(found.metric), found.own
    if own is None or found.shortage:
        return _reason("floor", found, settings, "fails", f"too few pairs to tell ({found.shortage})")
    reached = own.low >= settings.floor
    words = f"no champion yet, and {'at least' if reached else 'not certainly'} the floor of {settings.floor:g}"
    return Reason(
        "floor",
        name,
        _met(reached),
        f"{found.set}: {name} {own.value:.4f} ({own.low:.4f} … {own.high:.4f}): {words}",
        set=found.set,
        slice=found.slice,
        challenger=own.value,
        interval=(own.low, own.high),
    )


def _main(found: Compared, settings: JudgeConf, newer_data: bool) -> Reason:
    """Better, or equal with newer data; and above the floor, which small losses night by night add up to."""
    own, difference = found.own, found.difference
    if own is None or difference is None or found.shortage:
        return _reason("main", found, settings, "fails", f"too few pairs to tell ({found.shortage})")
    finding, words = _gain(difference, found.margin, newer_data)
    if own.low < settings.floor:
        finding, words = "fails", f"{words}; not certainly the floor of {settings.floor:g}, {own.low:.4f} or more"
    return _reason("main", found, settings, finding, words)


def _gain(difference: Estimate, margin: float, newer_data: bool) -> tuple[Finding, str]:
    if difference.low > 0:
        return "holds", "better"
    if difference.low < -margin:
        return "fails", f"not better; {_worse(difference, margin)}"
    if newer_data:
        return "holds", f"equal within the margin of {margin:g}, and the data are newer"
    return "fails", f"equal within the margin of {margin:g}, but neither better nor of newer data"


def _guard(found: Compared, settings: JudgeConf) -> Reason:
    """Non-inferiority: not worse by more than the margin, where there are enough pairs."""
    difference = found.difference
    if difference is None or found.shortage:
        text = f"too few pairs to tell ({found.shortage})"
        return _reason("guard", found, settings, "too few pairs to tell", text)
    if difference.low >= -found.margin:
        return _reason("guard", found, settings, "holds", f"not worse by more than {found.margin:g}")
    return _reason("guard", found, settings, "fails", _worse(difference, found.margin))


def _worse(difference: Estimate, margin: float) -> str:
    """What is known of a loss that the margin does not cover."""
    if difference.high < -margin:
        return f"worse by more than the margin of {margin:g}"
    if difference.high < 0:
        return f"worse, and more than the margin of {margin:g} is not ruled out"
    seen = difference.value - difference.low
    return f"a loss of more than {margin:g} is not ruled out; at equal figures these pairs rule out one of {seen:.4f}"


def _reason(kind: Kind, found: Compared, settings: JudgeConf, finding: Finding, words: str) -> Reason:
    """A reason about the difference of two figures, which its text begins with."""
    name, difference, own = settings.name_of(found.metric), found.difference, found.own
    interval = None if difference is None or found.shortage else (difference.low, difference.high)
    where = found.set if found.slice == ALL else f"{found.set}, {found.slice}"
    text = f"{where}: {name}"
    if own is not None and found.champion is not None and difference is not None:
        text += f" {found.champion:.4f} to {own.value:.4f}, {difference.value:+.4f}"
    if interval is not None:
        text += f" ({interval[0]:+.4f} … {interval[1]:+.4f})"
    return Reason(
        kind,
        name,
        finding,
        f"{text}: {words}",
        set=found.set,
        slice=found.slice,
        champion=found.champion,
        challenger=None if own is None else own.value,
        difference=None if difference is None else difference.value,
        interval=interval,
        margin=found.margin,
    )


def _about(case: Case) -> dict[str, object]:
    benchmark = case.benchmark
    people = None if benchmark.persons is None else len(np.unique(benchmark.persons))
    return {"sha256": benchmark.sha256, "pairs": len(benchmark.same), "people": people}


def _met(good: bool) -> Finding:
    return "holds" if good else "fails"
