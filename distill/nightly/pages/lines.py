"""One night on a page: from the results of its stages to figures and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from distill.format import duration, points, quantity
from distill.judge.judgement import ALL, Reason
from distill.nightly.results import NightResults

State = Literal["promoted", "rejected", "failed", "unfinished"]
Finding = Literal["holds", "fails", "not known"]
FINDINGS = {
    "damaged": "damaged",
    "duplicates": "duplicates",
    "doubtful_labels": "doubtful labels",
    "split_people": "split people",
}
"""What vetting counts, and what it is called."""
_ONE = {"duplicates": "duplicate", "doubtful labels": "doubtful label", "split people": "split person"}
_WEIGHT = {"main": 0, "floor": 1, "guard": 2}  # of reasons about the same figure, the first of these kinds is shown


@dataclass(frozen=True)
class Comparison:
    """A score of a night's student on a complete set beside the champion's.

    ``between`` is the judge's interval: of the gap, or of the student's own score where there was no champion.
    """

    set: str
    metric: str
    challenger: float
    champion: float | None = None
    between: tuple[float, float] | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.set, self.metric

    @property
    def around(self) -> tuple[float, float] | None:
        """The interval in which the student's score lies, the champion's taken as known."""
        if self.between is None:
            return None
        return self.between[0] + (self.champion or 0.0), self.between[1] + (self.champion or 0.0)

    @property
    def gap_text(self) -> str:
        """Challenger less champion in points, with the interval."""
        if self.champion is None:
            return ""
        gap = points(self.challenger - self.champion)
        return gap if self.between is None else f"{gap} ({points(self.between[0])} to {points(self.between[1])})"


@dataclass(frozen=True)
class NightLine:
    """One night, from its records; None or empty where they hold nothing.

    ``note`` is the progress of a night without a verdict; ``report`` is an address relative to the page.
    """

    number: int
    state: State
    started: str = ""
    version: str | None = None
    note: str = ""
    comparisons: Sequence[Comparison] = ()
    reasons: Sequence[tuple[Finding, str]] = ()
    """Each of the judge's demands in a sentence."""
    images: int | None = None
    people: int | None = None
    new_images: int | None = None
    new_people: int | None = None
    findings: Mapping[str, int] = field(default_factory=dict)
    flops: int | None = None
    file_bytes: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    report: str | None = None

    @property
    def remark(self) -> str:
        """The version of a promoted student, how many reasons spoke against a rejected one, or where a night stands."""
        against = sum(finding == "fails" for finding, _ in self.reasons)
        text = {"promoted": self.version or "", "rejected": f"{against} of {len(self.reasons)} reasons against"}
        return "; ".join(filter(None, (text.get(self.state), self.note)))

    @property
    def total_s(self) -> float:
        return sum(self.seconds.values())

    @property
    def duration_text(self) -> str:
        return duration(self.total_s) if self.seconds else "-"

    @property
    def cost_text(self) -> tuple[str, str]:
        """FLOPs and size."""
        return _counted(self.flops, "FLOPs"), _counted(self.file_bytes, "B")

    @property
    def data_text(self) -> tuple[str, str]:
        """Images and people, each with what was new."""
        return _grown(self.images, self.new_images, "images"), _grown(self.people, self.new_people, "people")

    @property
    def findings_text(self) -> str:
        """What vetting found, in words; "-" where nothing was vetted."""
        if not self.findings:
            return "-"
        found = [(self.findings.get(kind, 0), name) for kind, name in FINDINGS.items()]
        named = (f"{number:,} {name if number > 1 else _ONE.get(name, name)}" for number, name in found if number)
        return ", ".join(named) or "nothing"

    def score(self, key: tuple[str, str]) -> Comparison | None:
        """How it did on one set by one metric."""
        return next((found for found in self.comparisons if found.key == key), None)


def line_of(number: int, state: State, results: NightResults, seconds: Mapping[str, float], **others: Any) -> NightLine:
    """A night from what its stages left; ``others`` are the other fields of ``NightLine``."""
    freeze, vet, check, promote = results.freeze, results.vet, results.check, results.promote
    return NightLine(
        number=number,
        state=state,
        version=promote and promote.version,
        comparisons=_comparisons(results),
        reasons=_reasons(results),
        images=freeze and freeze.images,
        people=freeze and freeze.people,
        new_images=freeze and freeze.new_images,
        new_people=freeze and freeze.new_people,
        findings={kind: getattr(vet, kind) for kind in FINDINGS} if vet else {},
        flops=check and check.flops,
        file_bytes=check and check.bytes,
        seconds=seconds,
        **others,
    )


def _judged(results: NightResults) -> Sequence[Reason]:
    return results.judge.judgement.reasons if results.judge else ()


def _comparisons(results: NightResults) -> list[Comparison]:
    """The judge's on complete sets, the main one first; where it judged none, the mean accuracy of the folds."""
    complete = sorted(
        filter(_of_all_pairs, _judged(results)), key=lambda reason: _WEIGHT.get(reason.kind, len(_WEIGHT))
    )
    judged = {found.key: found for found in map(_comparison, reversed(complete))}
    if judged or results.verify is None:
        return list(reversed(judged.values()))
    theirs = results.verify.champion or {}
    return [
        Comparison(name, "accuracy_mean", own.accuracy_mean, theirs[name].accuracy_mean if name in theirs else None)
        for name, own in results.verify.sets.items()
        if own.accuracy_mean is not None
    ]


def _reasons(results: NightResults) -> list[tuple[Finding, str]]:
    """The judge's; those of the check where the judge did not run, and other reasons for a rejection."""
    found: list[tuple[Finding, str]] = [(_finding(reason), reason.text) for reason in _judged(results)]
    if not found and results.check:
        found = [("fails", reason) for reason in results.check.reasons]
    if results.promote and results.promote.reason and not any(finding == "fails" for finding, _ in found):
        found.append(("fails", results.promote.reason))
    return found


def _finding(reason: Reason) -> Finding:
    """Too few pairs decide nothing: neither for nor against."""
    return "not known" if reason.finding == "too few pairs to tell" else reason.finding


def _of_all_pairs(reason: Reason) -> bool:
    """Whether a reason is about a score on all of a set."""
    return reason.set is not None and reason.challenger is not None and reason.slice in (None, ALL)


def _comparison(reason: Reason) -> Comparison:
    assert reason.set is not None
    assert reason.challenger is not None
    return Comparison(reason.set, reason.metric, reason.challenger, reason.champion, reason.interval)


def _counted(value: int | None, unit: str) -> str:
    return "-" if value is None else quantity(value, unit, short=True)


def _grown(number: int | None, new: int | None, what: str) -> str:
    if number is None:
        return "-"
    return f"{number:,} {what}" + (f" (+{new:,})" if new else "")
