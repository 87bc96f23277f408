"""One night as the page tells it: from the results of its stages to figures and words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from distill.format import duration, points, quantity

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
ALL = "all"
"""What the judge calls the slice that is the whole set."""
_WEIGHT = {"main": 0, "floor": 1, "guard": 2}  # of reasons about the same figure, the first of these kinds is shown


@dataclass(frozen=True)
class Comparison:
    """A score of a night's student on a whole set beside the champion's.

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
    """One night as its records tell it; what they do not tell is None or empty.

    ``note`` says where a night that came to no verdict stands; ``report`` is an address relative to the page.
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
        told = {"promoted": self.version or "", "rejected": f"{against} of {len(self.reasons)} reasons against"}
        return "; ".join(filter(None, (told.get(self.state), self.note)))

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


def line_of(
    number: int, state: State, results: Mapping[str, Mapping[str, Any]], seconds: Mapping[str, float], **told: Any
) -> NightLine:
    """A night from the ``result`` of each of its stages; ``told`` are the other fields of ``NightLine``."""
    freeze, check, judge, promote = (results.get(stage, {}) for stage in ("freeze", "check", "judge", "promote"))
    return NightLine(
        number=number,
        state=state,
        version=promote.get("version"),
        comparisons=_comparisons(judge.get("reasons", ()), results.get("verify", {})),
        reasons=_reasons(check, judge, promote),
        images=freeze.get("images"),
        people=freeze.get("people"),
        new_images=freeze.get("new_images"),
        new_people=freeze.get("new_people"),
        findings={kind: results["vet"].get(kind, 0) for kind in FINDINGS} if "vet" in results else {},
        flops=check.get("flops"),
        file_bytes=check.get("bytes"),
        seconds=seconds,
        **told,
    )


def _comparisons(reasons: Iterable[Mapping[str, Any]], verify: Mapping[str, Any]) -> list[Comparison]:
    """The judge's on whole sets, the main one first; where it judged none, the mean accuracy of the folds."""
    whole = sorted(filter(_whole, reasons), key=lambda reason: _WEIGHT.get(reason.get("kind", ""), len(_WEIGHT)))
    judged = {found.key: found for found in map(_comparison, reversed(whole))}
    if judged:
        return list(reversed(judged.values()))
    theirs = verify.get("champion") or {}
    return [
        Comparison(name, "accuracy_mean", scores["accuracy_mean"], theirs.get(name, {}).get("accuracy_mean"))
        for name, scores in verify.get("sets", {}).items()
        if scores.get("accuracy_mean") is not None
    ]


def _reasons(
    check: Mapping[str, Any], judge: Mapping[str, Any], promote: Mapping[str, Any]
) -> list[tuple[Finding, str]]:
    """The judge's; those of the check where it did not come to the judge, and what else kept a student out."""
    judged: list[tuple[Finding, str]] = [
        (_finding(reason), str(reason.get("text", ""))) for reason in judge.get("reasons", ())
    ]
    found: list[tuple[Finding, str]] = judged or [("fails", str(reason)) for reason in check.get("reasons", ())]
    if promote.get("reason") and not any(finding == "fails" for finding, _ in found):
        found.append(("fails", str(promote["reason"])))
    return found


def _finding(reason: Mapping[str, Any]) -> Finding:
    """What too few pairs cannot tell speaks neither for nor against."""
    if not reason.get("passed"):
        return "fails"
    return "holds" if reason.get("finding", "holds") == "holds" else "not known"


def _whole(reason: Mapping[str, Any]) -> bool:
    """Whether a reason is about a score on all of a set."""
    return bool(reason.get("set")) and reason.get("challenger") is not None and reason.get("slice") in (None, ALL)


def _comparison(reason: Mapping[str, Any]) -> Comparison:
    between = reason.get("interval")
    return Comparison(
        set=reason["set"],
        metric=reason["metric"],
        challenger=reason["challenger"],
        champion=reason.get("champion"),
        between=(between[0], between[1]) if between else None,
    )


def _counted(value: int | None, unit: str) -> str:
    return "-" if value is None else quantity(value, unit, short=True)


def _grown(number: int | None, new: int | None, what: str) -> str:
    if number is None:
        return "-"
    return f"{number:,} {what}" + (f" (+{new:,})" if new else "")
