"""``make nightly``: what arrived since the last night, a student of it, and the better of two models in service.

This file decides which night there is to work on, and reports the outcome. It opens no network for that, so that a
night with nothing to do is over at once; ``night_stages`` is imported where there is work.
"""

from __future__ import annotations

from pathlib import Path

from distill.config.service_jobs import NightlyConf
from distill.nightly.lock import Busy, held
from distill.nightly.service import Outcome, _nights


def run(conf: NightlyConf) -> int:
    """Work on the night that is open and on what is new; the exit status of ``Outcome``."""
    try:
        with held(Path(conf.root)) as taken_over:
            if taken_over is not None:
                print(taken_over)
            return _nights(conf).status
    except Busy as busy:
        print(busy)
        return Outcome.BUSY.status
