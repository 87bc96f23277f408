"""A job is an entry: it reads its configuration, calls what knows the work, prints, and returns a status."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from distill import jobs
from distill.config.compose import JOBS

FILES = sorted(path for path in Path(jobs.__file__).parent.glob("*.py") if path.name != "__init__.py")
MEDIAN_LINES, MOST_LINES = 60, 90


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_each_file_is_a_job():
    assert {path.stem for path in FILES} == set(JOBS)


def test_jobs_are_short_entries():
    assert median(map(_lines, FILES)) <= MEDIAN_LINES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_job_is_long(path: Path):
    assert _lines(path) <= MOST_LINES, f"{path.name} has a body that belongs to the package that knows it"
