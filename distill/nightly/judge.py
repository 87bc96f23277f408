"""Whether a challenger replaces the champion.

It does where it passed the protocol's check and parity, every score is a number, the main figure reaches the floor,
and is better or, with newer data, not worse than the margin allows, and no guard (every figure of every set and slice)
may be worse than its margin allows. "Not worse" is shown, not assumed: the lower end of the interval of the difference
lies above minus the margin.

Many guards need no correction. The challenger is promoted only if all of them hold, so a promotion is wrong only if
the one guard that is really worse happens to hold as well, and that has the chance of a single test (the
intersection-union test: Berger, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24, 1982).
What many guards cost is power: a challenger as good as the champion is rejected if any of them fails by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from distill.metrics.paired import Estimate
from distill.nightly.benchmark import ALL
from distill.nightly.comparison import Case, Compared, Settings, compare
from distill.nightly.judgement import Finding, Judgement, Kind, Reason
from distill.types import UserError


@dataclass(frozen=True)
class Requirement:
    """Something that was found out before: whether it passed, and what was measured."""

    passed: bool
    text: str


@dataclass(frozen=True)
class Facts:
    """What the judge is told: the protocol's check, parity, and whether the challenger knows newer data."""

    check: Requirement
    parity: Requirement
    newer_data: bool


def judge(cases: Sequence[Case], settings: Settings, facts: Facts) -> Judgement:
    """All reasons for and against the challenger; ``UserError`` where no set is called ``settings.main_set``."""
    main_set = main_set_of([case.benchmark.name for case in cases], settings)
    told = [("check", facts.check), ("parity", facts.parity)]
    reasons = [Reason("requirement", name, _met(found.passed), f"{name}: {found.text}") for name, found in told]
    for case in cases:
        reasons += _judge_set(case, settings, facts, case.benchmark.name == main_set)
    order = ("requirement", "floor", "main", "guard")
    reasons.sort(key=lambda reason: order.index(reason.kind))
    return Judgement(tuple(reasons), {case.benchmark.name: _about(case) for case in cases}, asdict(settings))


def main_set_of(names: Sequence[str], settings: Settings) -> str:
    """The set where the challenger has to be better: that of the settings, else the first."""
    assert len(set(names)) == len(names) > 0, names
    if settings.main_set not in (None, *names):
        raise UserError(f"judge.main_set is {settings.main_set!r}; expected one of {', '.join(names)}")
    return settings.main_set or names[0]


def _judge_set(case: Case, settings: Settings, facts: Facts, is_main: bool) -> Iterator[Reason]:
    if broken := list(_not_finite(case)):
        yield from broken
        return
    for found in compare(case, settings):
        if is_main and found.slice == ALL and found.metric is settings.main:
            yield _floor(found, settings)
            if case.champion is not None:
                yield _main(found, settings, facts.newer_data)
        elif case.champion is not None:
            yield _guard(found, settings)


def _not_finite(case: Case) -> Iterator[Reason]:
    """A model that scores with NaN is unfit, and none can be compared with it."""
    for who, scores in (("challenger", case.challenger), ("champion", case.champion)):
        if scores is None or np.isfinite(scores).all():
            continue
        text = f"{case.benchmark.name}: the {who} has no finite score for {(~np.isfinite(scores)).sum():,} of "
        text += f"{len(scores):,} pairs" + (f": {case.trouble}" if who == "challenger" and case.trouble else "")
        yield Reason("requirement", "scores", "fails", text, set=case.benchmark.name, slice=ALL)


def _floor(found: Compared, settings: Settings) -> Reason:
    """The main figure against a fixed value: all there is without a champion, and what small losses add up to."""
    own = found.own
    if own is None or found.shortage:
        return _reason("floor", found, settings, "fails", f"too few pairs to tell ({found.shortage})")
    high_enough = own.low >= settings.floor
    text = f"at least {own.low:.4f}, the floor is {settings.floor:g}"
    return Reason(
        "floor",
        settings.name_of(found.metric),
        _met(high_enough),
        f"{found.set}: {settings.name_of(found.metric)} {own.value:.4f}, {text}",
        set=found.set,
        slice=found.slice,
        challenger=own.value,
        interval=(own.low, own.high),
    )


def _main(found: Compared, settings: Settings, newer_data: bool) -> Reason:
    difference = found.difference
    if difference is None or found.shortage:
        return _reason("main", found, settings, "fails", f"too few pairs to tell ({found.shortage})")
    if difference.low > 0:
        return _reason("main", found, settings, "holds", "better")
    if difference.low < -found.margin:
        return _reason("main", found, settings, "fails", f"not better; {_worse(difference, found.margin)}")
    equal = f"equal within the margin of {found.margin:g}"
    if newer_data:
        return _reason("main", found, settings, "holds", f"{equal}, and the data are newer")
    return _reason("main", found, settings, "fails", f"{equal}, but neither better nor of newer data")


def _guard(found: Compared, settings: Settings) -> Reason:
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


def _reason(kind: Kind, found: Compared, settings: Settings, finding: Finding, words: str) -> Reason:
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
