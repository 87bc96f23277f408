"""Runs of a job for benchmarks: each in a process of its own, some side by side, kept between attempts."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch


def distilled(
    runs: Mapping[str, Sequence[str]], root: Path, jobs: int, job: str = "distill"
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run the job with each list of overrides, ``jobs`` at a time on an equal share of the cores; (name, its metrics)
    as they end.

    A run's folder and its log are ``root/NAME`` and ``root/NAME.log``; one that has finished is not run again.
    """
    root.mkdir(parents=True, exist_ok=True)
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    with ThreadPoolExecutor(jobs) as pool:
        started = [pool.submit(_run, [job, *options], name, root, threads) for name, options in runs.items()]
        for done in as_completed(started):
            yield done.result()


def _run(words: Sequence[str], name: str, root: Path, threads: int) -> tuple[str, dict[str, Any]]:
    command = [sys.executable, "-m", "distill", *words, f"run.root={root}", f"run.name={name}"]
    log_path = root / f"{name}.log"
    with log_path.open("ab") as log:
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        status = subprocess.run(command, env=environment, stdout=log, stderr=log, check=False).returncode
    if status not in (0, 1):
        sys.exit(f"{name} ended with status {status}: see {log_path}")
    return name, json.loads((root / name / "metrics.json").read_text())


def real_faces(data: Path) -> list[str]:
    """Options of the shared folder of real faces, and of the teacher that lies there as ONNX file."""
    return [
        *("teacher=onnx", f"teacher.weights={data / 'reference_teacher.onnx'}"),
        *(f"data.root={data / 'labelled'}", f"data.transfer=[{data / 'singles'}]"),
        f"data.pairs={data / 'lfw_dev.bin'}",
    ]


def store_signals(options: Sequence[str], root: Path) -> None:
    """``make signals`` with these overrides; a store that is complete stays as it is. ``root`` is made for it."""
    root.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "distill", "signals", *options], check=True)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(": ")[2] for line in info.read_text().splitlines() if line.startswith("model name")]
    cpu = names[0] if names else platform.machine()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "gpu": gpu, "torch": torch.__version__}
