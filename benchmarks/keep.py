"""Store a finished run's figures as baseline of runs with a teacher: distill/runs/baselines/NAME.json.

    .venv/bin/python benchmarks/keep.py RUN NAME

RUN is the folder of a run without a teacher (`make distill teacher=none objective=margin`). Its figures are
shown as the baseline of every run of the same student, data, pairs, length and seed.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

from distill.runs.baseline import RECORDED

KEYS = ("comparison", "learned_from", "set", "training_s", "versions", "finished", "command")
SHOWN = ("accuracy_mean", "accuracy_std", "auc", "tpr_at_fpr")


def main() -> None:
    run, name = Path(sys.argv[1]), sys.argv[2]
    metrics = json.loads((run / "metrics.json").read_text())
    if metrics["learned_from"] is not None:
        sys.exit(f"{run} learned from {metrics['learned_from']}; expected a run without a teacher")
    place = Path(__file__).parents[1] / "distill" / "runs" / RECORDED / f"{name}.json"
    place.parent.mkdir(exist_ok=True)
    student = {key: metrics["student"][key] for key in SHOWN}
    content = {key: metrics[key] for key in KEYS} | {"student": student, "recorded_on": _machine()}
    place.write_text(json.dumps(content, indent=1) + "\n")
    print(place)


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.processor())
    return f"{len(os.sched_getaffinity(0))} cores, {model}"


if __name__ == "__main__":
    main()
