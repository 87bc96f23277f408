"""Surface, files and losses are those of the golden texts; ``make golden`` writes them again, for the diff to show."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden.files import left_behind
from golden.numbers import numbers, same_numbers
from golden.small_runs import SmallRuns, run_all
from golden.surface import declared

STORED = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> SmallRuns:
    return run_all(tmp_path_factory.mktemp("golden"))


def test_jobs_targets_options_and_exit_statuses_are_those_declared(repository: Path):
    assert declared(repository) == (STORED / "declared.txt").read_text()


@pytest.mark.slow
def test_runs_and_nights_leave_the_files_and_keys_of_the_golden_text(runs: SmallRuns):
    assert left_behind(runs) == (STORED / "left_behind.txt").read_text()


@pytest.mark.slow
def test_twenty_steps_have_the_losses_of_the_golden_text(runs: SmallRuns):
    assert same_numbers((STORED / "numbers.txt").read_text(), numbers(runs))


def test_on_the_same_machine_a_single_bit_counts_and_elsewhere_a_twentieth():
    stored = "m\nrun loss 0x1.0p+0\n"
    assert not same_numbers(stored, "m\nrun loss 0x1.0000000000001p+0\n")
    assert same_numbers(stored, "other\nrun loss 0x1.0000000000001p+0\n")
    assert not same_numbers(stored, "other\nrun loss 0x1.1p+0\n")
    assert not same_numbers(stored, "other\nrun loss 0x1.0p+0 0x1.0p+0\n")
