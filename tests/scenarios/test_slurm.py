"""Inside of a Slurm batch job, without srun, as scrontab starts it: Lightning looks at these variables."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from distill.cli import main


@pytest.mark.slow
def test_a_batch_job_trains_as_one_process(teach: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch):
    for name, value in {
        "JOB_ID": "7",
        "JOB_NAME": "face-distill-nightly",
        "NTASKS": "1",
        "NNODES": "1",
        "NODEID": "0",
        "PROCID": "0",
        "LOCALID": "0",
        "NODELIST": "localhost",
    }.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert main(teach()) == 0
