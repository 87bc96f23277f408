"""Losses of the small runs as text, headed by the machine that computed them."""

from __future__ import annotations

import math
import platform
from pathlib import Path

import torch

from golden.small_runs import SmallRuns

TOLERANCE = 0.02
"""Relative, on another machine than the stored one: other kernels sum in another order, and twenty steps amplify it."""


def machine() -> str:
    """Processor, instruction set and torch: with these equal, the same code computes the same bits."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.processor()}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"


def numbers(runs: SmallRuns) -> str:
    rows = [f"{name} {' '.join(values)}" for name, values in sorted(runs.losses().items())]
    return "\n".join([machine(), *rows, ""])


def same_numbers(stored: str, now: str) -> bool:
    """Bit for bit on the same machine, else within ``TOLERANCE``."""
    if stored.splitlines()[0] == now.splitlines()[0]:
        return stored == now
    old, new = (_parsed(text) for text in (stored, now))
    return old.keys() == new.keys() and all(
        len(old[name]) == len(new[name])
        and all(math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=1e-6) for a, b in zip(old[name], new[name], strict=True))
        for name in old
    )


def _parsed(text: str) -> dict[str, list[float]]:
    rows = (line.split(" ") for line in text.splitlines()[1:])
    return {f"{run} {name}": [float.fromhex(value) for value in values] for run, name, *values in rows}
