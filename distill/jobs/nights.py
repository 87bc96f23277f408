"""``make nights``: the history of the service, in the terminal and as one HTML page; it changes nothing."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from distill.export.night_lines import NightLine, line_of
from distill.export.nights import NightsPage, write_nights
from distill.jobs.nights_schema import NightsConf
from distill.nightly.history import Told, in_service, told
from distill.nightly.records import now, to_the_minute
from distill.shown import shown
from distill.tracking.summary import print_figures
from distill.types import UserError

RECENT = 30
"""Nights that the terminal shows; the page has all."""


def run(conf: NightsConf) -> int:
    """Read every record, write the page, print the table; 0."""
    root, out = Path(conf.root), Path(conf.out)
    _check(root, out)
    lines = [_line(found, out) for found in told(root)]
    page = NightsPage(
        root=conf.root,
        made=to_the_minute(now()),
        command=shlex.join(["face-distill", *sys.argv[0].split()[1:], *sys.argv[1:]]),
        nights=lines,
        champion=in_service(root),
    )
    write_nights(out, page)
    _print(page)
    print(f"page        {shown(out)}")
    return 0


def _check(root: Path, out: Path) -> None:
    if root.exists() and not root.is_dir():
        raise UserError(f"root is {root}, a file; expected the folder of the nights, e.g. root=nightly")
    if out.suffix.lower() != ".html":
        raise UserError(f"out is {str(out)!r}; expected a file that ends in .html")


def _line(found: Told, out: Path) -> NightLine:
    return line_of(
        found.night.number,
        found.state,
        {stage: record.result for stage, record in found.records.items()},
        {stage: record.seconds for stage, record in found.records.items()},
        started=to_the_minute(found.started_at),
        note=found.note,
        report=None if found.report is None else _address(found.report, out),
    )


def _address(report: Path, out: Path) -> str:
    """From the page's folder to the report, as an address."""
    return quote(os.fsencode(os.path.relpath(report.resolve(), out.resolve().parent)))


def _print(page: NightsPage) -> None:
    if not page.nights:
        print(f"no nights under {shown(page.root)} yet; `make nightly drops=DIR` makes the first")
        return
    recent = page.nights[-RECENT:]
    if len(recent) < len(page.nights):
        print(f"the last {len(recent)} of {len(page.nights)} nights; the page has all")
    key = page.keys[0] if page.keys else None
    columns = ("night", "came to", "version", "score, %", "gap", "images", "new", "time")
    print_figures(columns, [_row(night, key) for night in recent])
    if key is not None:
        print(f"score       {key[1]} on {key[0]}; gap: in points, to the champion of that night")
    print(f"in service  {page.champion or 'nothing'}")
    for night in recent[-1:]:
        _print_last(night)


def _row(night: NightLine, key: tuple[str, str] | None) -> Sequence[str]:
    score = night.score(key) if key else None
    return (
        str(night.number),
        night.state,
        (night.version or "-") if night.state == "promoted" else "-",
        "-" if score is None else f"{100 * score.challenger:.2f}",
        _plain(score.gap_text.partition(" ")[0] or "-") if score else "-",
        "-" if night.images is None else f"{night.images:,}",
        "-" if night.new_images is None else f"{night.new_images:,}",
        night.duration_text,
    )


def _plain(gap: str) -> str:
    """A minus sign that every terminal can show."""
    return gap.replace("\N{MINUS SIGN}", "-")


def _print_last(night: NightLine) -> None:
    """Where the latest night stands, and what spoke against its student."""
    if night.note:
        print(f"last night  {shown(night.note)}")
    for finding, text in night.reasons:
        if finding == "fails" and night.state != "promoted":
            print(f"  - {shown(text)}")
