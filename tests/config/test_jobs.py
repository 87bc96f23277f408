"""The list of jobs: each has an entry of its name, and examples that compose."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from distill.config.compose import load
from distill.config.jobs import JOBS


@pytest.mark.parametrize(("job", "example"), [(job, example) for job in JOBS for example in JOBS[job].examples])
def test_examples_compose(job: str, example: str):
    assert isinstance(load(job, shlex.split(example)), JOBS[job].conf)


def test_every_job_has_an_entry_and_every_entry_is_a_job(repository: Path):
    entries = {file.stem for file in (repository / "distill/jobs").glob("[a-z]*.py")}
    assert entries == set(JOBS)
