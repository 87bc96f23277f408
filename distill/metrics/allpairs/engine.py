"""The device that scores pairs, and how many at a time."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import torch

from distill.errors import UserError
from distill.metrics.allpairs.tiles import BYTES_OF_A_PRODUCT, DEVICE_ROWS, HOST_ROWS

_LEAST_ROWS = 8


@dataclass(frozen=True)
class Engine:
    """Where and how pairs are scored; results depend on none of it.

    Half of ``max_memory_bytes`` is for rows and tiles; the other half leaves room for the interpreter with its
    libraries (some 0.4 GB, whatever the bound), 24 B for each row, the kept pairs and the bootstrap.
    ``threads`` None takes every core. ``device`` is a torch device: "cpu", "cuda", "cuda:1".
    """

    max_memory_bytes: int = 2 << 30
    threads: int | None = None
    device: str = "cpu"


class Shape(NamedTuple):
    """Rows of a strip and of a tile, and threads."""

    strip: int
    tile: int
    threads: int


def threads_of_one_core(threads: int) -> ThreadPoolExecutor:
    """Threads whose matrix products take one core each: torch keeps that number for every thread by itself."""
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))


def shape_for(engine: Engine, columns: int, threads: int) -> Shape:
    """The largest strips and tiles of ``columns`` wide rows that fit; ``UserError`` where none do."""
    on_host = torch.device(engine.device).type == "cpu"
    threads = threads if on_host else 1
    # a quarter of the memory for the float32 rows of two strips, a quarter for the tiles of all threads
    row_bytes, product_bytes = 4 * 2 * 4 * columns, 4 * threads * BYTES_OF_A_PRODUCT
    strip = engine.max_memory_bytes // row_bytes
    tile = math.isqrt(engine.max_memory_bytes // product_bytes)
    if min(strip, tile) < _LEAST_ROWS:
        least = max(_LEAST_ROWS * row_bytes, _LEAST_ROWS**2 * product_bytes)
        raise UserError(f"max_memory_bytes is {engine.max_memory_bytes}; {columns} columns need {least} or more")
    return Shape(strip, min(tile, HOST_ROWS if on_host else DEVICE_ROWS), threads)
