"""Objectives compared: the same student, data, seed and number of steps for each, in one table.

    .venv/bin/python benchmarks/objectives.py DATA_ROOT [--images 8000] [--jobs 2] [--only default feature]

DATA_ROOT holds labelled/ and singles/ (RecordIO), lfw_dev.bin and reference_teacher.onnx. Runs and their logs are kept
below runs/objectives, so that a stopped benchmark continues; figures go to benchmarks/results/objectives-IMAGES.json.
On a CPU two runs side by side, one core each, get a fifth more done than one after the other.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from distilling import distilled, machine, real_faces

RESULTS = Path(__file__).parent / "results"
RUNS = Path("runs") / "objectives"
OBJECTIVES = {
    "margin": "no distillation (CosFace)",
    "feature": "feature alone",
    "logit": "logit alone",
    "angular": "angular-margin alone",
    "vargfacenet": "eq. 5 at weight 7 (VarGFaceNet)",
    "adadistill": "AdaDistill",
    "arcnegface": "no distillation (ArcNegFace)",
    "margin_distillation": "MarginDistillation",
    "relational": "relations alone (RKD)",
    "default": "ours, all three families",
}


def main() -> int:
    arguments = _arguments()
    path = RESULTS / f"objectives-{arguments.images}.json"
    path.parent.mkdir(exist_ok=True)
    rows: dict[str, Any] = json.loads(path.read_text())["rows"] if path.exists() else {}
    runs = {f"{name}-{arguments.images}": _options(name, arguments) for name in arguments.only or OBJECTIVES}
    for name, metrics in distilled(runs, RUNS, arguments.jobs):
        objective = name.removesuffix(f"-{arguments.images}")
        rows[objective] = {"command": _told(arguments), **figures(metrics)}
        path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
        print(f"{objective}: {rows[objective]['accuracy']:.2%}", flush=True)
    print(table(rows))
    return 0


def table(rows: dict[str, Any]) -> str:
    """The rows as Markdown, in the order of ``OBJECTIVES``; the last columns are accuracies."""
    head = "| objective | ROC AUC | 95 % | TPR at FPR 0.01 | 95 % | one threshold | ten folds | 95 % |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for name, words in OBJECTIVES.items():
        if name in rows:
            row = rows[name]
            one = row.get("accuracy_one_threshold")  # the oldest rows have neither this nor the interval of the AUC
            lines.append(
                f"| {words} | {row['auc']:.4f} | {_span(row.get('auc_interval'), 1, 4)} | "
                f"{row['tpr_at_fpr_0.01']:.1%} | {_span(row['tpr_interval'])} | "
                f"{'-' if one is None else f'{one:.2%}'} | {row['accuracy']:.2%} | {_span(row['accuracy_interval'])} |"
            )
    if rows:
        teacher = next(iter(rows.values()))["teacher_accuracy"]
        lines.append(f"| the teacher | | | | | | {teacher:.2%} | |")
    return "\n".join(lines)


def _options(objective: str, arguments: argparse.Namespace) -> list[str]:
    return [
        *real_faces(arguments.data),
        *(f"objective={objective}", f"trainer.images={arguments.images}"),
        *arguments.options,
    ]


def _told(arguments: argparse.Namespace) -> str:
    """The command that makes all rows, wherever the data lie and however many of the rows were made this time."""
    words = ["benchmarks/objectives.py", "DATA_ROOT", f"--images={arguments.images}", f"--jobs={arguments.jobs}"]
    return shlex.join([*words, *(["--options", *arguments.options] if arguments.options else [])])


def figures(metrics: dict[str, Any]) -> dict[str, Any]:
    student = metrics["student"]
    return {
        "accuracy": student["accuracy_mean"],
        "accuracy_interval": student["intervals"]["accuracy"],
        "accuracy_one_threshold": _one_threshold(student),
        "auc": student["auc"],
        "auc_interval": student["intervals"]["auc"],
        "tpr_at_fpr_0.01": student["tpr_at_fpr"]["0.01"],
        "tpr_interval": student["intervals"]["tpr_at_fpr"]["0.01"],
        "teacher_accuracy": metrics["teacher"]["accuracy_mean"],
        "steps": metrics["machine"]["steps"],
        "image_steps": metrics["machine"]["image_steps"],
        "training_s": metrics["training_s"],
        "precision": metrics["machine"]["precision"],
        "compile": metrics["machine"]["compile"],
    }


def _one_threshold(student: dict[str, Any]) -> float:
    """Share of pairs judged rightly at the one threshold that suits all of them best.

    The pairs of lfw_dev.bin stand 300 of one kind in a row, so that most of ten contiguous folds hold one kind alone,
    and a threshold chosen on the others leans to the other kind.
    """
    points = zip(student["roc"]["tpr"], student["roc"]["fpr"], strict=True)
    right = (tpr * student["genuine"] + (1 - fpr) * student["impostor"] for tpr, fpr in points)
    return max(right) / student["pairs"]


def _span(interval: list[float] | None, factor: float = 100, digits: int = 1) -> str:
    if interval is None:
        return "-"
    return " to ".join(f"{factor * end:.{digits}f}" for end in interval)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with labelled/, singles/, lfw_dev.bin, reference_teacher.onnx")
    parser.add_argument("--images", type=int, default=8_000, help="length of each run in samples seen")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side")
    parser.add_argument("--only", nargs="*", choices=list(OBJECTIVES), help="some of the objectives")
    parser.add_argument("--options", nargs="*", default=[], help="further overrides for every run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
