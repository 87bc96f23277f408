"""The page of ``make nights``: history of nightly runs, in one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distill.files.atomic import write_page
from distill.format import percent_cell
from distill.nightly.pages.figures import cost_figures, data_figures, duration_figures, score_figures
from distill.nightly.pages.lines import NightLine
from distill.redact import redact_text
from distill.report.run_page import html_templates


@dataclass(frozen=True)
class NightsPage:
    """All that the page shows; ``nights`` in order. ``champion`` is the version in service, whoever put it there."""

    root: str
    made: str
    command: str
    nights: Sequence[NightLine]
    champion: str | None = None

    @property
    def keys(self) -> list[tuple[str, str]]:
        """Every (set, metric) that some night was scored by; those of the latest night first."""
        found = (comparison.key for night in reversed(self.nights) for comparison in night.comparisons)
        return list(dict.fromkeys(found))

    @property
    def changes(self) -> list[NightLine]:
        """The nights that changed the champion."""
        return [night for night in self.nights if night.state == "promoted"]

    @property
    def rolled_back(self) -> bool:
        """Whether what is in service is not what the last promotion put there."""
        return bool(self.champion and self.changes) and self.champion != self.changes[-1].version

    @property
    def back_to(self) -> NightLine | None:
        """The night whose student a rollback put back into service, if it is one of these."""
        return self._source() if self.rolled_back else None

    @property
    def tiles(self) -> list[tuple[str, str, str]]:
        """(name, value, remark) of the few figures that one looks for first."""
        if not self.nights:
            return []
        last, count = self.nights[-1], len(self.nights)
        tiles = [("In service", self.champion or "nothing", self._served())]
        tiles.append(("Last night", last.state, last.note or last.started))
        others = {state: sum(night.state == state for night in self.nights) for state in ("promoted", "rejected")}
        remark = ", ".join([*(f"{number} {state}" for state, number in others.items())])
        tiles.append(("Nights", f"{count:,}", remark))
        frozen = next((night for night in reversed(self.nights) if night.images is not None), None)
        if frozen is not None:
            remark = f"of {frozen.people or 0:,} people; {frozen.new_images or 0:,} were new on night {frozen.number}"
            tiles.append(("Images", f"{frozen.images:,}", remark))
        return tiles

    def _source(self) -> NightLine | None:
        """The night that made what is in service."""
        return next((night for night in reversed(self.nights) if night.version == self.champion), None)

    def _served(self) -> str:
        since = self._source()
        if self.champion is None or since is None:
            return "no student was promoted yet" if self.champion is None else "from before these nights"
        score = since.score(self.keys[0]) if self.keys else None
        text = f"from night {since.number}" + (", rolled back to" if self.rolled_back else "")
        return text if score is None else f"{text}; {score.metric} {percent_cell(score.challenger)} on {score.set}"


def write_nights(path: Path, page: NightsPage) -> None:
    """Write ``page`` as one HTML file; UserError where that is impossible."""
    template = html_templates().get_template("nights.html.j2")
    shown = template.render(
        page=page,
        command=redact_text(page.command),
        scores=score_figures(page.nights, page.keys, page.back_to),
        data=data_figures(page.nights),
        cost=cost_figures(page.nights),
        durations=duration_figures(page.nights),
    )
    write_page(path, shown)
