"""Types of the configuration of ``make nights``."""

from __future__ import annotations

from dataclasses import dataclass

from distill.jobs.schema import path


@dataclass
class NightsConf:
    """``make nights``: what every night came to, in the terminal and as one page."""

    root: str = path("nightly")
    """The folder of the service."""
    out: str = path("nights.html")
    """Its links lead from here to the nights' reports, so keep it beside them to pass both on."""
