"""Which objective teaches best: the same student, data, seed and number of steps for each, in one table.

    .venv/bin/python benchmarks/objectives.py DATA_ROOT [--images 72000] [--only default feature]

DATA_ROOT holds labelled/ and singles/ (RecordIO), lfw_dev.bin and reference_teacher.onnx. Runs are kept below
runs/objectives, so that a stopped benchmark continues; figures go to benchmarks/results/objectives-IMAGES.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
OBJECTIVES = {
    "margin": "no distillation (CosFace)",
    "feature": "feature alone",
    "logit": "logit alone",
    "angular": "angular-margin alone",
    "vargfacenet": "eq. 5 at weight 7 (VarGFaceNet)",
    "adadistill": "AdaDistill",
    "default": "ours, all three families",
}


def main() -> int:
    arguments = _arguments()
    path = RESULTS / f"objectives-{arguments.images}.json"
    rows: dict[str, Any] = json.loads(path.read_text())["rows"] if path.exists() else {}
    for objective in arguments.only or OBJECTIVES:
        root = Path("runs") / "objectives" / f"{objective}-{arguments.images}"
        status = subprocess.run(_command(objective, arguments, root), check=False).returncode
        if status > 1:
            return status
        rows[objective] = _row(json.loads((root / "latest" / "metrics.json").read_text()))
        content = {"machine": _machine(), "command": " ".join(sys.argv), "rows": rows}
        path.write_text(json.dumps(content, indent=1) + "\n")
    print(table(rows))
    return 0


def table(rows: dict[str, Any]) -> str:
    """The rows as Markdown, in the order of ``OBJECTIVES``."""
    lines = ["| objective | accuracy | 95 % | ROC AUC | TPR at FPR 0.01 | 95 % |", "|---|---|---|---|---|---|"]
    for name, words in OBJECTIVES.items():
        if name in rows:
            row = rows[name]
            lines.append(
                f"| {words} | {row['accuracy']:.2%} | {_range(row['accuracy_interval'])} | {row['auc']:.4f} | "
                f"{row['tpr_at_fpr_0.01']:.2%} | {_range(row['tpr_interval'])} |"
            )
    if rows:
        teacher = next(iter(rows.values()))["teacher_accuracy"]
        lines.append(f"| the teacher | {teacher:.2%} | | | | |")
    return "\n".join(lines)


def _command(objective: str, arguments: argparse.Namespace, root: Path) -> list[str]:
    data: Path = arguments.data
    return [
        *(sys.executable, "-m", "distill", "distill"),
        *("teacher=onnx", f"teacher.weights={data / 'reference_teacher.onnx'}"),
        *(
            f"data.root={data / 'labelled'}",
            f"data.transfer=[{data / 'singles'}]",
            f"data.pairs={data / 'lfw_dev.bin'}",
        ),
        *(f"objective={objective}", f"trainer.images={arguments.images}", f"run.root={root}"),
        *arguments.options,
    ]


def _row(metrics: dict[str, Any]) -> dict[str, Any]:
    student = metrics["student"]
    return {
        "accuracy": student["accuracy_mean"],
        "accuracy_interval": student["intervals"]["accuracy"],
        "auc": student["auc"],
        "tpr_at_fpr_0.01": student["tpr_at_fpr"]["0.01"],
        "tpr_interval": student["intervals"]["tpr_at_fpr"]["0.01"],
        "teacher_accuracy": metrics["teacher"]["accuracy_mean"],
        "steps": metrics["machine"]["steps"],
        "image_steps": metrics["machine"]["image_steps"],
        "training_s": metrics["training_s"],
        "precision": metrics["machine"]["precision"],
        "compile": metrics["machine"]["compile"],
    }


def _range(interval: list[float]) -> str:
    return f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f}"


def _machine() -> dict[str, Any]:
    return {"cpu": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0))}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with labelled/, singles/, lfw_dev.bin, reference_teacher.onnx")
    parser.add_argument("--images", type=int, default=72_000, help="length of each run in image-steps")
    parser.add_argument("--only", nargs="*", choices=list(OBJECTIVES), help="some of the objectives")
    parser.add_argument("--options", nargs="*", default=[], help="further overrides for every run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
