"""The history of the service in the terminal: the last nights, a line each."""

from __future__ import annotations

from collections.abc import Sequence

from distill.nightly.pages.history_page import NightsPage
from distill.nightly.pages.lines import NightLine
from distill.report.terminal import print_figures
from distill.shown import shown

RECENT = 30
"""Nights that the terminal shows; the page has all."""


def print_history(page: NightsPage) -> None:
    """Print the recent nights as a table, the version in service, and why the last night ended as it did."""
    if not page.nights:
        print(f"no nights under {shown(page.root)} yet; `make nightly drops=DIR` makes the first")
        return
    recent = page.nights[-RECENT:]
    if len(recent) < len(page.nights):
        print(f"the last {len(recent)} of {len(page.nights)} nights; the page has all")
    key = page.keys[0] if page.keys else None
    columns = ("night", "outcome", "version", "score, %", "gap", "images", "new", "time")
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
