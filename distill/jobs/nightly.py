"""``make nightly``: freeze new data, train a student on it, judge it against the champion, promote or reject it."""

from __future__ import annotations

from pathlib import Path

from distill.config.service_jobs import NightlyConf
from distill.nightly.lock import Busy, held
from distill.nightly.service import Outcome, work_through


def run(conf: NightlyConf) -> int:
    """Work on the night that is open and on what is new; the exit status of ``Outcome``."""
    try:
        with held(Path(conf.root)) as taken_over:
            if taken_over is not None:
                print(taken_over)
            return work_through(conf).status
    except Busy as busy:
        print(busy)
        return Outcome.BUSY.status
