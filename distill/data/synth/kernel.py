"""Compiled inner loops: two decorators, so that all of them are compiled in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def kernel(function: Callable[..., Any]) -> Any:
    """Compile at the first call and keep the machine code on disk; in memory alone where no folder can be written."""
    try:
        return njit(cache=True, fastmath=True, error_model="numpy")(function)
    except RuntimeError:  # numba found no place for its cache: a read-only installation without a home
        return njit(fastmath=True, error_model="numpy")(function)


def inlined(function: Callable[..., Any]) -> Any:
    """A part of a kernel, made part of its caller's code: a call would count every array that it is given."""
    return njit(fastmath=True, error_model="numpy", inline="always")(function)
