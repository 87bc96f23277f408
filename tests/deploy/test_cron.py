"""The lines for cron and for Slurm's scrontab: when they run, what they run, and what their own tools say."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cronsim import CronSim

TABLES = ("cron/nightly.crontab", "slurm/nightly.scrontab")
INSTALLED = "/opt/face-distill"


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


def test_slurm_runs_it_in_the_checkout_with_a_limit(deploy: Path):
    lines = (deploy / "slurm/nightly.scrontab").read_text().splitlines()
    options = dict(line.removeprefix("#SCRON --").split("=", 1) for line in lines if line.startswith("#SCRON"))
    assert options["chdir"] == INSTALLED
    assert options["time"] == "20:00:00"
    last = max(number for number, line in enumerate(lines) if line.startswith("#SCRON"))
    assert not lines[last + 1].startswith("#"), "options belong to the entry right below them"


def test_cron_accepts_the_table(deploy: Path, tmp_path: Path):
    if shutil.which("crontab") is None:
        pytest.skip("crontab is not installed")
    table = deploy / "cron/nightly.crontab"
    good = subprocess.run(["crontab", "-T", str(table)], capture_output=True, text=True)
    if "invalid option" in good.stderr:
        pytest.skip("this crontab cannot test a table (-T)")
    assert good.returncode == 0, good.stderr
    (tmp_path / "wrong").write_text(table.read_text().replace("30 2 * * *", "30 25 * * *"))
    assert subprocess.run(["crontab", "-T", str(tmp_path / "wrong")], capture_output=True).returncode != 0


@pytest.mark.parametrize("table", TABLES)
def test_no_secret_stands_in_a_table(deploy: Path, table: str):
    assert "WANDB_API_KEY" not in (deploy / table).read_text()
