"""How fast a training step is on this machine in each mode that ``trainer=auto`` chooses among, as ratios of one run.

    .venv/bin/python benchmarks/steps.py [--teacher] [--batch 32] [--steps 10]

Prints a table and writes benchmarks/results/steps.json. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn.functional import normalize

from distill.students.vargnet import VarGNet
from distill.types import FaceNetwork
from teachers.iresnet import IResNet

RESULT = Path(__file__).parent / "results" / "steps.json"
MODES = {
    "fp32": (False, False, False),
    "fp32, channels_last": (False, True, False),
    "bf16, channels_last": (True, True, False),
    "bf16, channels_last, compiled": (True, True, True),
}


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    rows = {
        "vargnet": _measure(lambda: VarGNet([40, 80, 160, 296], [3, 7, 4]), arguments.batch, arguments.steps, MODES)
    }
    if arguments.teacher:
        eager = {name: mode for name, mode in MODES.items() if not mode[2]}
        rows["r152"] = _measure(lambda: IResNet([3, 8, 36, 3]), 8, 3, eager)
    content = {"torch": torch.__version__, "cores": torch.get_num_threads(), "batch": arguments.batch, "rows": rows}
    RESULT.write_text(json.dumps(content, indent=1) + "\n")
    for network, modes in rows.items():
        slowest = modes["fp32"]["images_per_s"]
        for mode, found in modes.items():
            rate, first_s = found["images_per_s"], found["first_s"]
            print(f"{network:8} {mode:32} {rate:7.1f} images/s  {rate / slowest:4.2f}x  first step {first_s:.0f} s")


def _measure(
    make: Callable[[], FaceNetwork], batch: int, steps: int, modes: dict[str, tuple[bool, bool, bool]]
) -> dict[str, dict[str, float]]:
    """Median over the steps after the first two, of which the first one compiles."""
    found = {}
    for name, (bf16, channels_last, compiled) in modes.items():
        step = _step(make(), batch, bf16, channels_last, compiled)
        seconds = [_timed(step) for _ in range(steps + 2)]
        found[name] = {"images_per_s": batch / statistics.median(seconds[2:]), "first_s": seconds[0]}
    return found


def _step(network: FaceNetwork, batch: int, bf16: bool, channels_last: bool, compiled: bool) -> Callable[[], None]:
    images = torch.randn(batch, 3, 112, 112)
    if channels_last:
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        images = images.contiguous(memory_format=torch.channels_last)
    target = normalize(torch.randn(batch, 512), dim=1)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    forward = torch.compile(network) if compiled else network

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            embedding = forward(images)
        loss = (1 - (normalize(embedding.float(), dim=1) * target).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _timed(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", action="store_true", help="time r152 too")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()
