"""Which objective teaches best: the same student, data, seed and number of steps for each, in one table.

    .venv/bin/python benchmarks/objectives.py DATA_ROOT [--images 8000] [--jobs 2] [--only default feature]

DATA_ROOT holds labelled/ and singles/ (RecordIO), lfw_dev.bin and reference_teacher.onnx. Runs and their logs are kept
below runs/objectives, so that a stopped benchmark continues; figures go to benchmarks/results/objectives-IMAGES.json.
On a CPU two runs side by side, one core each, get a fifth more done than one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"
RUNS = Path("runs") / "objectives"
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
    path.parent.mkdir(exist_ok=True)
    rows: dict[str, Any] = json.loads(path.read_text())["rows"] if path.exists() else {}
    with ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(_run, objective, arguments) for objective in arguments.only or OBJECTIVES]
        for done in as_completed(runs):
            objective, metrics = done.result()
            rows[objective] = {"command": _told(arguments), **_row(metrics)}
            content = {"machine": _machine(), "rows": rows}
            path.write_text(json.dumps(content, indent=1) + "\n")
            print(f"{objective}: {rows[objective]['accuracy']:.2%}", flush=True)
    print(table(rows))
    return 0


def _run(objective: str, arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """One run in a process of its own, with its share of the cores; its metrics."""
    name = f"{objective}-{arguments.images}"
    RUNS.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // arguments.jobs))}
    with (RUNS / f"{name}.log").open("ab") as log:
        command = _command(objective, arguments, name)
        status = subprocess.run(command, env=environment, stdout=log, stderr=log, check=False).returncode
    if status not in (0, 1):
        sys.exit(f"{objective} ended with status {status}: see {RUNS / name}.log")
    return objective, json.loads((RUNS / name / "metrics.json").read_text())


def table(rows: dict[str, Any]) -> str:
    """The rows as Markdown, in the order of ``OBJECTIVES``; the last columns are accuracies."""
    head = "| objective | ROC AUC | 95 % | TPR at FPR 0.01 | 95 % | one threshold | ten folds | 95 % |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for name, words in OBJECTIVES.items():
        if name in rows:
            row = rows[name]
            lines.append(
                f"| {words} | {row['auc']:.4f} | {_span(row['auc_interval'], 1, 4)} | {row['tpr_at_fpr_0.01']:.1%} | "
                f"{_span(row['tpr_interval'])} | {row['accuracy_one_threshold']:.2%} | {row['accuracy']:.2%} | "
                f"{_span(row['accuracy_interval'])} |"
            )
    if rows:
        teacher = next(iter(rows.values()))["teacher_accuracy"]
        lines.append(f"| the teacher | | | | | | {teacher:.2%} | |")
    return "\n".join(lines)


def _command(objective: str, arguments: argparse.Namespace, name: str) -> list[str]:
    data: Path = arguments.data
    return [
        *(sys.executable, "-m", "distill", "distill"),
        *("teacher=onnx", f"teacher.weights={data / 'reference_teacher.onnx'}"),
        *(
            f"data.root={data / 'labelled'}",
            f"data.transfer=[{data / 'singles'}]",
            f"data.pairs={data / 'lfw_dev.bin'}",
        ),
        *(f"objective={objective}", f"trainer.images={arguments.images}", f"run.root={RUNS}", f"run.name={name}"),
        *arguments.options,
    ]


def _told(arguments: argparse.Namespace) -> str:
    """The command that makes all rows, wherever the data lie and however many of the rows were made this time."""
    words = ["benchmarks/objectives.py", "DATA_ROOT", f"--images={arguments.images}", f"--jobs={arguments.jobs}"]
    return shlex.join([*words, *(["--options", *arguments.options] if arguments.options else [])])


def _row(metrics: dict[str, Any]) -> dict[str, Any]:
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


def _span(interval: list[float], factor: float = 100, digits: int = 1) -> str:
    return " to ".join(f"{factor * end:.{digits}f}" for end in interval)


def _machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    names = [line.partition(": ")[2] for line in info.read_text().splitlines() if line.startswith("model name")]
    cpu = names[0] if names else platform.machine()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "gpu": gpu, "torch": torch.__version__}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with labelled/, singles/, lfw_dev.bin, reference_teacher.onnx")
    parser.add_argument("--images", type=int, default=8_000, help="length of each run in image-steps")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side")
    parser.add_argument("--only", nargs="*", choices=list(OBJECTIVES), help="some of the objectives")
    parser.add_argument("--options", nargs="*", default=[], help="further overrides for every run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
