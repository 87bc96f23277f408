"""What a student learns from stored outputs and from the live teacher, and from two ways of augmenting beside a store.

    .venv/bin/python benchmarks/views.py DATA_ROOT [--images 10000] [--seeds 3] [--jobs 2]

The first command's data, student and length; the teacher is DATA_ROOT/reference_teacher.onnx, which is small enough to
run live in every run. Each way is run with every seed:

live        image and mirror image, the teacher at every step
stored      the same from a store of both (views=0)
photometric a store of both; the student alone sees colours, blur, low resolution and JPEG changed
four_views  a store of four augmented views of each image (views=4), seen by student and teacher alike

Runs are kept below runs/views, so that a stopped benchmark continues; figures go to benchmarks/results/views.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from distilling import distilled, machine, store_signals

RESULT = Path(__file__).parent / "results" / "views.json"
RUNS = Path("runs") / "views"
PHOTOMETRIC = [
    f"data.augment.{option}" for option in ("colour=0.5", "blur=0.1", "low_resolution=0.1", "jpeg=0.2", "gray=0.02")
]
WAYS = {
    "live": ["signals=live"],
    "stored": [f"signals={RUNS}/mirror"],
    "photometric": [f"signals={RUNS}/mirror", *PHOTOMETRIC],
    "four_views": [f"signals={RUNS}/four", *PHOTOMETRIC],
}


FORMATS = {"auc": ".4f", "accuracy": ".1%", "tpr_at_fpr_0.01": ".1%"}
SETS = ("synthfaces_dev", "synthfaces_test")


def main() -> int:
    arguments = _arguments()
    teacher = ["teacher=onnx", f"teacher.weights={arguments.data / 'reference_teacher.onnx'}"]
    store_signals([*teacher, f"out={RUNS}/mirror"], RUNS)
    store_signals([*teacher, f"out={RUNS}/four", "views=4", *PHOTOMETRIC], RUNS)
    runs = {
        f"{way}-{seed}": [*teacher, *options, f"seed={seed}", f"trainer.images={arguments.images}", "tracking=none"]
        for seed in range(1, arguments.seeds + 1)
        for way, options in WAYS.items()
    }
    found: dict[str, dict[str, Any]] = {}
    for name, metrics in distilled(runs, RUNS, arguments.jobs):
        found[name] = _row(metrics)
        print(f"{name}: {found[name]}", flush=True)
        command = f"benchmarks/views.py DATA_ROOT --images={arguments.images} --seeds={arguments.seeds}"
        content = {"command": f"{command} --jobs={arguments.jobs}", "machine": machine(), "runs": found}
        RESULT.write_text(json.dumps(content, indent=1) + "\n")
    print(table(found))
    return 0


def _row(metrics: dict[str, Any]) -> dict[str, float]:
    """The mean over both sets: each has 1,000 pairs of 100 held-out people."""
    scores = [metrics["sets"]["student"][name] for name in SETS]
    return {
        "auc": statistics.mean(s["auc"] for s in scores),
        "accuracy": statistics.mean(s["accuracy_mean"] for s in scores),
        "tpr_at_fpr_0.01": statistics.mean(s["tpr_at_fpr"]["0.01"] for s in scores),
        "training_s": metrics["training_s"],
    }


def table(found: dict[str, dict[str, Any]]) -> str:
    """Markdown: the mean over seeds of each figure, and between which figures they lie."""
    lines = ["| way | ROC AUC | accuracy | TPR at FPR 0.01 | seeds |", "|---|---|---|---|---|"]
    for way in WAYS:
        rows = [row for name, row in found.items() if name.rpartition("-")[0] == way]
        if rows:
            cells = (_spread([r[k] for r in rows], f) for k, f in FORMATS.items())
            lines.append(f"| {way} | {' | '.join(cells)} | {len(rows)} |")
    return "\n".join(lines)


def _spread(figures: list[float], form: str) -> str:
    return f"{statistics.mean(figures):{form}} ({min(figures):{form}} to {max(figures):{form}})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with reference_teacher.onnx")
    parser.add_argument("--images", type=int, default=10_000, help="length of each run in samples seen")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
