"""A night's ``report.html``: what arrived and what was found in it, what its student scored and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distill.files.atomic import write_page
from distill.format import duration, percent_cell, points
from distill.judge.judgement import Reason
from distill.nightly.pages.lines import NightLine, line_of
from distill.nightly.results import Finding, NightResults
from distill.report.run_page import html_templates

FOUND = {"holds": "passed", "fails": "failed", "too few pairs to tell": "too few"}
"""Words on the page for the judge's findings."""
MOST_FINDINGS = 50
"""Findings on the page; ``vetting.json`` beside it has all of them."""


@dataclass(frozen=True)
class NightReport:
    """A night with a verdict, from the results of its stages; ``student_page`` is a link to the student's own."""

    number: int
    results: NightResults
    seconds: Mapping[str, float]
    started: str
    student_page: str | None

    @property
    def line(self) -> NightLine:
        """What stands of the night on the page of all nights."""
        assert self.results.promote is not None
        return line_of(self.number, self.results.promote.outcome, self.results, self.seconds, started=self.started)

    @property
    def tiles(self) -> list[tuple[str, str, str]]:
        """(name, value, remark) of what one looks for first."""
        promote, train, line = self.results.promote, self.results.train, self.line
        assert promote is not None
        assert train is not None
        served = promote.version or promote.before or "nothing"
        begun = f"warm start from {train.from_version}" if train.from_version else "from scratch"
        return [
            ("In service", served, f"before: {promote.before or 'nothing'}" if promote.version else "as before"),
            ("Images", f"{line.images:,}", f"{line.new_images:,} new"),
            ("People", f"{line.people:,}", f"{line.new_people:,} new"),
            ("Training", f"{train.image_steps:,}", f"samples seen, {begun}"),
            ("Time", line.duration_text, "for all stages"),
        ]

    @property
    def against(self) -> list[str]:
        """Why the student was rejected."""
        return [text for finding, text in self.line.reasons if finding == "fails"]

    @property
    def figures(self) -> list[tuple[str, str, str, str, str, str]]:
        """Of each of the judge's reasons that has figures: where, champion, student, difference, margin, finding."""
        return [_figures(reason) for reason in self._reasons if reason.challenger is not None]

    @property
    def demands(self) -> list[tuple[bool, str]]:
        """The other reasons."""
        return [(reason.passed, reason.text) for reason in self._reasons if reason.challenger is None]

    @property
    def findings(self) -> Sequence[Finding]:
        return self.results.vet.findings[:MOST_FINDINGS] if self.results.vet else ()

    @property
    def stages(self) -> list[tuple[str, str]]:
        return [(stage, duration(seconds)) for stage, seconds in self.seconds.items()]

    @property
    def _reasons(self) -> Sequence[Reason]:
        return self.results.judge.judgement.reasons if self.results.judge else ()


def write_night_report(path: Path, report: NightReport) -> None:
    """Write ``report`` as one HTML file; UserError where that is impossible."""
    page = html_templates().get_template("night.html.j2").render(report=report, line=report.line)
    write_page(path, page)


def _figures(reason: Reason) -> tuple[str, str, str, str, str, str]:
    where = " ".join(filter(None, (reason.set, reason.slice, reason.metric)))
    gap, between = reason.difference, reason.interval
    text = "-" if gap is None else points(gap)
    if gap is not None and between is not None:
        text += f" ({points(between[0])} to {points(between[1])})"
    margin = "-" if reason.margin is None else f"{100 * reason.margin:g}"
    return (
        where,
        percent_cell(reason.champion, ""),
        percent_cell(reason.challenger, ""),
        text,
        margin,
        FOUND[reason.finding],
    )
