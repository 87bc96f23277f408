"""Options under two names: both mean the same, and the older one is said to be so."""

from __future__ import annotations

import logging

import pytest

from distill.config.aliases import BETTER, BETTER_VALUES, as_stored
from distill.config.compose import JOBS, load
from distill.errors import UserError

VERIFY = ["model=a.onnx", "pairs=a.bin"]


def test_the_better_name_sets_the_stored_option():
    assert load("verify", [*VERIFY, "resamples=77"]).bootstrap == 77
    assert load("nightly", ["drops=d", "judge.min_score=0.6", "start=scratch"]).judge.floor == 0.6
    assert load("nightly", ["drops=d", "start=scratch"]).start == load("nightly", ["drops=d", "start=anew"]).start


def test_the_older_name_is_understood_with_a_line_that_says_so(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO):
        assert load("verify", [*VERIFY, "bootstrap=77"]).bootstrap == 77
    assert "bootstrap is called resamples now; both are understood" in caplog.text


def test_both_names_at_once_are_refused():
    with pytest.raises(UserError, match=r"^resamples and bootstrap are one option and both are given"):
        load("verify", [*VERIFY, "bootstrap=7", "resamples=8"])


def test_a_name_is_an_alias_only_in_jobs_that_have_the_option():
    assert as_stored(JOBS["signals"].conf, ["batch_size=8"]) == ["batch_images=8"]
    assert as_stored(JOBS["verify"].conf, ["batch_size=8"]) == ["batch_size=8"]


def test_prefixes_other_options_and_sweeps_stay_as_they_are():
    nightly = JOBS["nightly"].conf
    given = ["++judge.min_score=0.5", "~data.x", "run.name=a=b", "start=scratch,champion"]
    assert as_stored(nightly, given) == ["++judge.floor=0.5", "~data.x", "run.name=a=b", "start=anew,champion"]


@pytest.mark.parametrize("old", [*BETTER, *BETTER_VALUES])
def test_no_alias_is_of_an_option_that_no_job_has(old: str, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    word = next(iter(BETTER_VALUES.get(old, {"1": ""})))
    for job in JOBS.values():
        as_stored(job.conf, [f"{old}={word}"])
    assert "both are understood" in caplog.text
