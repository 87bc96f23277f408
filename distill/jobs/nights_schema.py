"""Types of the configuration of ``make nights``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class NightsConf:
    """``make nights``: what every night came to, in the terminal and as one page."""

    root: str = "nightly"
    """The folder of the service."""
    out: str = "nights.html"
    """Its links lead from here to the nights' reports, so keep it beside them to pass both on."""
