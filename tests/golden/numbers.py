"""Losses of the small runs as text, headed by the machine that computed them."""

from __future__ import annotations

import hashlib
import math
import platform
from pathlib import Path

import torch

from golden.small_runs import SmallRuns

TOLERANCE = 0.02
"""Relative, on another machine than the stored one: other kernels sum in another order, and twenty steps amplify it."""


def machine() -> str:
    """Processor, instruction set and torch: with these equal, the same code computes the same bits.

    Virtual machines hide the model's name, and oneDNN chooses its kernels by family, model and flags.
    """
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    stated = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    cpu = [stated.get(key, platform.processor()) for key in ("model name", "cpu family", "model", "stepping")]
    flags = hashlib.sha256(" ".join(sorted(stated.get("flags", "").split())).encode()).hexdigest()[:8]
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{' '.join(cpu)}, {capability}, flags {flags}, torch {torch.__version__}"


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
