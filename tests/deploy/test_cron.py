"""The lines for cron and for Slurm's scrontab: when they run, what they run, and what their own tools say."""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cronsim import CronSim

TABLES = ("cron/nightly.crontab", "slurm/nightly.scrontab")
INSTALLED = "/opt/face-distill"
NO_CLUSTER = """
ClusterName=none
SlurmctldHost=localhost(127.0.0.1)
AuthType=auth/none
CredType=cred/none
MessageTimeout=1
NodeName=localhost CPUs=8
PartitionName=all Nodes=localhost Default=YES
"""
"""A configuration with which Slurm's commands start; no server listens there."""


def entry(path: Path) -> tuple[str, str]:
    """Schedule and command of the one entry of a table."""
    (line,) = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    words = line.split(maxsplit=5)
    return " ".join(words[:5]), words[5]


@pytest.mark.parametrize("table", TABLES)
def test_once_a_night(deploy: Path, table: str):
    schedule, _ = entry(deploy / table)
    times = CronSim(schedule, datetime.datetime(2026, 3, 1))
    first, second = next(times), next(times)
    assert first == datetime.datetime(2026, 3, 1, 2, 30)
    assert second - first == datetime.timedelta(days=1)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(("status", "told"), [(10, 0), (20, 0), (0, 0), (1, 1), (75, 75)])
def test_the_command_runs_a_night(
    deploy: Path,
    table: str,
    status: int,
    told: int,
    installed: Callable[[int], Path],
    is_a_night: Callable[[list[str]], None],
):
    _, command = entry(deploy / table)
    assert "%" not in command, "cron makes a line break of it"
    root = installed(status)
    done = subprocess.run(["/bin/sh", "-c", command.replace(INSTALLED, str(root))], cwd=root, text=True, stdout=-1)
    assert done.returncode == told
    is_a_night(done.stdout.splitlines())


def checked_by_cron(table: Path) -> subprocess.CompletedProcess[str]:
    """The answer of the crontab that is installed: Debian's looks without installing with -n, cronie with -T."""
    usage = subprocess.run(["crontab", "-h"], capture_output=True, text=True)
    flag = "-n" if "dry run" in usage.stdout + usage.stderr else "-T"
    return subprocess.run(["crontab", flag, str(table)], capture_output=True, text=True)


@pytest.mark.skipif(shutil.which("crontab") is None, reason="crontab is not installed")
@pytest.mark.parametrize(("schedule", "accepted"), [("30 2 * * *", True), ("30 25 * * *", False), ("30 2 * *", False)])
def test_cron_accepts_the_table_and_no_mistake_in_it(deploy: Path, tmp_path: Path, schedule: str, accepted: bool):
    table = tmp_path / "table"
    table.write_text((deploy / "cron/nightly.crontab").read_text().replace("30 2 * * *", schedule))
    done = checked_by_cron(table)
    assert (done.returncode == 0) is accepted, done.stderr


def options_of(table: Path) -> list[str]:
    """The options of the one entry, which stand right above it."""
    lines = table.read_text().splitlines()
    given = [number for number, line in enumerate(lines) if line.startswith("#SCRON ")]
    assert given == list(range(given[0], given[-1] + 1))
    assert not lines[given[-1] + 1].startswith("#")
    return [lines[number].removeprefix("#SCRON ") for number in given]


def test_slurm_runs_it_in_the_checkout_with_a_limit(deploy: Path):
    options = dict(option.removeprefix("--").split("=", 1) for option in options_of(deploy / "slurm/nightly.scrontab"))
    assert options["chdir"] == INSTALLED
    assert options["time"] == "20:00:00"


@pytest.mark.skipif(shutil.which("sbatch") is None, reason="sbatch is not installed")
@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("", "", "Unable to contact slurm controller"),
        ("--mem=32G", "--memory=32G", "unrecognized option"),
        ("--time=20:00:00", "--time=night", "Invalid --time specification"),
        ("--cpus-per-task=8", "--cpus-per-task=many", "cpus-per-task"),
    ],
)
def test_slurm_accepts_the_options_and_no_mistake_in_them(deploy: Path, tmp_path: Path, good: str, bad: str, told: str):
    """scrontab takes the options of sbatch, which reads them all before it looks for a cluster."""
    options = [
        option.replace(good, bad) if good else option for option in options_of(deploy / "slurm/nightly.scrontab")
    ]
    script, conf = tmp_path / "night", tmp_path / "slurm.conf"
    script.write_text("\n".join(["#!/bin/sh", *(f"#SBATCH {option}" for option in options), "true", ""]))
    conf.write_text(NO_CLUSTER)
    words = ["sbatch", "--test-only", str(script)]
    done = subprocess.run(words, env={**os.environ, "SLURM_CONF": str(conf)}, capture_output=True, text=True)
    assert told in done.stderr


@pytest.mark.parametrize("table", TABLES)
def test_no_secret_stands_in_a_table(deploy: Path, table: str):
    assert "WANDB_API_KEY" not in (deploy / table).read_text()
