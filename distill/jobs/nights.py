"""``make nights``: the history of the service, in the terminal and as one HTML page; it changes nothing."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from urllib.parse import quote

from distill.config.service_jobs import NightsConf
from distill.errors import UserError
from distill.nightly.history import NightSummary, in_service, summaries
from distill.nightly.pages.history_page import NightsPage, write_nights
from distill.nightly.pages.history_table import print_history
from distill.nightly.pages.lines import NightLine, line_of
from distill.nightly.records import now, to_the_minute
from distill.nightly.results import NightResults
from distill.shown import shown


def run(conf: NightsConf) -> int:
    """Read every record, write the page, print the table; 0."""
    root, out = Path(conf.root), Path(conf.out)
    _check(root, out)
    lines = [_line(found, out) for found in summaries(root)]
    page = NightsPage(
        root=conf.root,
        made=to_the_minute(now()),
        command=shlex.join(["face-distill", *sys.argv[0].split()[1:], *sys.argv[1:]]),
        nights=lines,
        champion=in_service(root),
    )
    write_nights(out, page)
    print_history(page)
    print(f"page        {shown(out)}")
    return 0


def _check(root: Path, out: Path) -> None:
    if root.exists() and not root.is_dir():
        raise UserError(f"root is {root}, a file; expected the folder of the nights, e.g. root=nightly")
    if out.suffix.lower() != ".html":
        raise UserError(f"out is {str(out)!r}; expected a file that ends in .html")


def _line(found: NightSummary, out: Path) -> NightLine:
    return line_of(
        found.night.number,
        found.state,
        NightResults.of(found.records),
        {stage: record.seconds for stage, record in found.records.items()},
        started=to_the_minute(found.started_at),
        note=found.note,
        report=None if found.report is None else _address(found.report, out),
    )


def _address(report: Path, out: Path) -> str:
    """From the page's folder to the report, as an address."""
    return quote(os.fsencode(os.path.relpath(report.resolve(), out.resolve().parent)))
