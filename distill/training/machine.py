"""What ``auto`` means in the trainer's configuration: the fastest correct choice for the machine at hand.

The figures behind the rules are in ``docs/performance.md``.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import Literal

import torch

from distill.errors import UserError

Precision = Literal["fp32", "bf16", "fp16"]


COMPILE_PAYS_IMAGES = 30_000
"""Samples seen (batch size x steps) from which compiling the student pays off: compiling takes two minutes for each
size of crop and then saves a third of every step."""


@dataclass(frozen=True)
class Machine:
    """The resolved choices for one run."""

    device: Literal["cpu", "cuda"]
    precision: Precision
    channels_last: bool
    compile: bool
    workers: int
    threads: int

    @property
    def lightning_precision(self) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
        return {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[self.precision]  # pyright: ignore


def has_fast_bf16(device: str) -> bool:
    """Whether bf16 arithmetic is native: emulated bf16 is correct and slower than float32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # the two instruction sets in which oneDNN multiplies bf16; private in torch 2.x, without a public name
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def can_compile() -> bool:
    """TorchInductor needs a C++ compiler for the CPU; for CUDA it brings Triton."""
    return torch.cuda.is_available() or any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++"))


def resolve(
    precision: str, channels_last: bool | None, compiled: bool | None, workers: int | None, total_images: int
) -> Machine:
    """Turn ``auto`` and None into values. ``total_images`` is the length of the run in samples seen."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if precision not in ("auto", "fp32", "bf16", "fp16"):
        raise UserError(f"trainer.precision is {precision!r}; expected auto, fp32, bf16 or fp16")
    # float16 needs loss scaling, which Lightning has for CUDA only
    if precision == "fp16" and device == "cpu":
        raise UserError("trainer.precision=fp16 needs a GPU; on this CPU use auto, bf16 or fp32")
    if precision == "auto":
        precision = "bf16" if has_fast_bf16(device) else "fp32"
    return Machine(
        device=device,
        precision=precision,  # pyright: ignore[reportArgumentType]
        channels_last=True if channels_last is None else channels_last,
        compile=(can_compile() and total_images >= COMPILE_PAYS_IMAGES) if compiled is None else compiled,
        workers=loader_workers(device) if workers is None else workers,
        threads=torch.get_num_threads(),
    )


def loader_workers(device: str) -> int:
    """Loader processes: a GPU wants many; on a CPU one keeps ahead of the step and more would take its cores."""
    cores = len(os.sched_getaffinity(0))
    # one core stays with the process that feeds the GPU
    return min(8, max(1, cores - 1)) if device == "cuda" else 1
