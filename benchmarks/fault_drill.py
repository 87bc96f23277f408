"""Fault injection into a nightly service: kills, power loss, full disks, bad data, no network.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/fault_drill.py [--only kills,disk] [--random 16] [--seed 1]

A service of computed pictures has one night behind it and a second drop before it. A trial begins there, or where a
night stands after one of its stages: the night is started with a fault, and started again until it is
done. All the while a consumer reads `registry/champion/student.onnx`, and only two files may be there. At the end of a
trial the champion is complete, nothing is lost, and weights and ONNX file have the sha256 of the undisturbed night's.

Prints a table and writes benchmarks/results/fault_drill.json; exits with 1 if anything went wrong. A full disk is a
tmpfs, which only root may mount; the clock is turned by libfaketime. Where one is missing, that fault is left out,
and the table reports that.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from drill_cases import clock, corrupt, disk, kills, power, two_starts, wandb
from drill_trials import Drill, Tally

from distill.files.atomic import write_atomic
from distill.report.terminal import print_figures

RESULT = Path(__file__).parent / "results" / "fault_drill.json"
GROUPS = {
    "kills": kills,
    "power": power,
    "disk": disk,
    "corrupt": corrupt,
    "starts": two_starts,
    "clock": clock,
    "wandb": wandb,
}


COLUMNS = ("fault", "trials", "starts it ended", "champion read", "same student", "wrong")


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        drill = Drill(Path(folder), partial(_tell, arguments.out))
        print(f"an undisturbed night takes {drill.night_cpu_s:.1f} s of a processor", flush=True)
        for group in arguments.only:
            earlier = len(drill.tallies)
            GROUPS[group](drill, arguments)
            for tally in drill.tallies[earlier:]:
                _tell(arguments.out, tally)  # what was left out, and what was found after the last trial
    print_figures(COLUMNS, [_row(tally) for tally in drill.tallies])
    for tally in drill.tallies:
        for line in tally.wrong:
            print(f"wrong: {tally.fault}: {line}")
    return int(any(tally.wrong for tally in drill.tallies))


def _tell(out: Path, tally: Tally) -> None:
    """Print how far the trials of a fault are, and keep that beside other faults, which another call may have tried."""
    if not tally.fault:
        return
    print(f"{tally.fault}: {tally.trials} trials, {tally.equal} with the same student, {tally.wrong}", flush=True)
    kept: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {"faults": {}}
    kept["machine"] = f"{os.cpu_count()} cores"
    kept["faults"][tally.fault] = asdict(tally)
    write_atomic(out, (json.dumps(kept, indent=1) + "\n").encode())


def _row(tally: Tally) -> tuple[str, ...]:
    counts = (str(tally.trials), str(tally.hit), f"{tally.reads:,}", str(tally.equal))
    return tally.fault, *counts, str(len(tally.wrong))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="faults of a nightly service")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(GROUPS))
    parser.add_argument("--random", type=int, default=16, help="nights that are killed at random moments")
    parser.add_argument("--renames", type=int, default=24, help="renames after the export at which power is lost")
    parser.add_argument("--disk", type=int, default=18, help="steps at which the disk is full")
    parser.add_argument("--starts", type=int, default=3, help="pairs of starts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULT)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
