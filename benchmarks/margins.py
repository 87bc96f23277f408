"""CosFace margins compared on a small Large network, for experiment=deepglint_large: one seed and length for all.

    .venv/bin/python benchmarks/margins.py [--images 12800] [--margins 0.2 0.3 0.4 0.5] [--options data.root=FACES]

By default r18 on 64 px crops of the embedded faces; 17 images/s on one core, so that 12,800 samples seen take 13
minutes for each margin. Runs are kept below runs/margins, so that a stopped benchmark continues; figures go to
benchmarks/results/margins-IMAGES.json. The same as a sweep of one command, with weights of each run apart:

    .venv/bin/python -m distill teach -m experiment=deepglint_large teacher=r18 \\
        objective.terms.margin.loss.margin=0.2,0.3,0.4,0.5 \\
        'teacher.weights=runs/margins/${objective.terms.margin.loss.margin}/weights.safetensors'
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from distilling import distilled, machine

RESULTS = Path(__file__).parent / "results"
RUNS = Path("runs") / "margins"


def main() -> int:
    arguments = _arguments()
    path = RESULTS / f"margins-{arguments.images}.json"
    rows: dict[str, Any] = json.loads(path.read_text())["rows"] if path.exists() else {}
    runs = {f"margin-{margin}-{arguments.images}": _options(margin, arguments) for margin in arguments.margins}
    for name, metrics in distilled(runs, RUNS, arguments.jobs, job="teach"):
        margin = name.split("-")[1]
        rows[margin] = figures(metrics["teacher"])
        path.write_text(json.dumps({"machine": machine(), "options": arguments.options, "rows": rows}, indent=1) + "\n")
        print(f"margin {margin}: AUC {rows[margin]['auc']:.4f}", flush=True)
    return 0


def figures(found: dict[str, Any]) -> dict[str, Any]:
    """Of the taught network on the main set of pairs."""
    return {
        "auc": found["auc"],
        "auc_interval": found["intervals"]["auc"],
        "tpr_at_fpr_0.01": found["tpr_at_fpr"]["0.01"],
        "tpr_interval": found["intervals"]["tpr_at_fpr"]["0.01"],
    }


def _options(margin: float, arguments: argparse.Namespace) -> list[str]:
    weights = RUNS / f"margin-{margin}-{arguments.images}" / "weights.safetensors"
    return [
        *("experiment=deepglint_large", "teacher=r18", f"teacher.weights={weights}", "tracking=none"),
        *("trainer.small_px=64", "trainer.small_fraction=1.0", f"trainer.images={arguments.images}"),
        f"objective.terms.margin.loss.margin={margin}",
        *arguments.options,
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=12_800, help="length of each run in samples seen")
    parser.add_argument("--margins", nargs="*", type=float, default=[0.2, 0.3, 0.4, 0.5])
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side")
    parser.add_argument("--options", nargs="*", default=[], help="further overrides for every run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
