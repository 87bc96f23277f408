"""The report of a run: one self-contained HTML file that opens offline."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from distill.export.parity import Parity
from distill.files.atomic import write_page
from distill.format import quantity
from distill.redact import flatten, redact_text
from distill.report.generations import Generation, generation_notes, generation_tables
from distill.report.run_charts import Series, training_figures, verification_figures
from distill.report.scores import ScoreRow, VerificationScores
from distill.shown import shown


@dataclass(frozen=True)
class CostRow:
    """One measured quantity; ``unit`` is "B" for bytes, else what is counted. ``limit`` None: not limited."""

    name: str
    value: int
    limit: int | None
    unit: str = ""

    @property
    def over(self) -> bool:
        return self.limit is not None and self.value > self.limit

    @property
    def text(self) -> str:
        return quantity(self.value, self.unit)

    @property
    def limit_text(self) -> str:
        if self.limit is None:
            return "no limit"
        return f"{100 * self.value / self.limit:.1f} % of {quantity(self.limit, self.unit, short=True)}"

    @property
    def bar_percent(self) -> float:
        """Length of the bar, whose track ends a tenth behind the larger of value and limit."""
        return round(100 * self.value / self._track, 2)

    @property
    def mark_percent(self) -> float:
        """Where the limit lies on the track."""
        return round(100 * (self.limit or 0) / self._track, 2)

    @property
    def _track(self) -> float:
        return 1.1 * max(self.value, self.limit or 0, 1)


@dataclass(frozen=True)
class ExamplePair:
    """Two crops as PNG bytes, their cosine, and whether they show the same person."""

    left_png: bytes
    right_png: bytes
    cosine: float
    same: bool

    @property
    def sources(self) -> tuple[str, str]:
        return _data_url(self.left_png), _data_url(self.right_png)


@dataclass(frozen=True)
class RunReport:
    """All that a report shows. ``series`` are the run's curves by name; ``configuration`` may be nested.

    ``pairs`` stay empty where the data set does not permit pictures, and ``pairs_note`` explains it.
    ``generations`` are those of recursive distillation up to this run, or none.
    ``teacher_checked`` False means that the user switched the trial of the teacher off.
    """

    title: str
    run: str
    finished: str
    passed: bool
    reasons: Sequence[str]
    command: str
    student: VerificationScores | None = None
    teacher: VerificationScores | None = None
    teacher_name: str | None = None
    teacher_checked: bool = True
    cost: Sequence[CostRow] = ()
    protocol: str = ""
    parity: Parity | None = None
    series: Series = field(default_factory=dict)
    configuration: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, object] = field(default_factory=dict)
    pairs: Sequence[ExamplePair] = ()
    pairs_note: str = "The data set's configuration does not permit pictures of people (data.pictures=false)."
    generations: Sequence[Generation] = ()
    look_next: Sequence[str] = ()

    @property
    def gaps(self) -> list[tuple[ScoreRow, ScoreRow | None, str]]:
        """(student, teacher, student minus teacher in points) for every score of the student."""
        theirs = {score.name: score for score in self.teacher.rows} if self.teacher else {}
        mine = self.student.rows if self.student else ()
        return [(score, theirs.get(score.name), _gap(score, theirs.get(score.name))) for score in mine]

    @property
    def tiles(self) -> list[tuple[str, str, str]]:
        """(name, value, remark) of the few figures that one looks for first."""
        tiles: list[tuple[str, str, str]] = []
        if self.student:
            score = self.student.accuracy
            tiles.append(("Accuracy", score.text, f"{100 * self.student.confidence:.0f} % interval {score.range_text}"))
        if self.student and self.teacher:
            remark = f"points of accuracy; it has {self.teacher.accuracy.text}"
            tiles.append(("Against the teacher", self.gaps[0][2], remark))
        limited = [cost for cost in self.cost if cost.limit is not None]
        return tiles + [(cost.name, quantity(cost.value, cost.unit, short=True), cost.limit_text) for cost in limited]


def write_report(path: Path, report: RunReport) -> None:
    """Write ``report`` as one HTML file; UserError where that is impossible."""
    accuracy = report.teacher.accuracy.value if report.teacher else None
    template = html_templates().get_template("report.html.j2")
    page = template.render(
        report=report,
        scored=verification_figures(report.student, report.teacher) if report.student else [],
        generations=generation_tables(report.generations),
        generation_notes=generation_notes(report.generations) if report.generations else [],
        training=training_figures(report.series, accuracy),
        configuration=list(flatten(report.configuration)),
        environment=list(flatten(report.environment)),
        command=redact_text(report.command),
    )
    write_page(path, page)


def _gap(mine: ScoreRow, theirs: ScoreRow | None) -> str:
    if theirs is None or mine.value is None or theirs.value is None:
        return "-"
    return f"{100 * (mine.value - theirs.value):+.2f}".replace("-", "\N{MINUS SIGN}")


def _data_url(png: bytes) -> str:
    assert png.startswith(b"\x89PNG"), "an example picture is no PNG"
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _shown(value: object) -> object:
    return shown(value) if type(value) is str else value


def html_templates() -> Environment:
    """Every value is shown and escaped unless it is Markup, which only our own charts and style sheet are."""
    loader = PackageLoader("distill.report")
    pages = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    source, _, _ = loader.get_source(pages, "report.css")
    pages.globals["style"] = Markup(source)
    return pages
