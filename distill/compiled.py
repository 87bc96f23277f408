"""Compiled inner loops of the all-pairs engine; they let go of the interpreter's lock, so that threads share cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Any:
    """Strict IEEE arithmetic in the order as written: the same result on every machine."""
    return _compile(function, fastmath=False)


def regrouped(function: Callable[..., Any]) -> Any:
    """Sums may be regrouped for speed: only for sums that are exact in whatever order."""
    return _compile(function, fastmath={"reassoc", "nsz", "contract"})


def _compile(function: Callable[..., Any], fastmath: Any) -> Any:
    options = {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no place for its cache: a read-only installation without a home
        return njit(**options)(function)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile at the first call and keep the machine code on disk; in memory only where no folder can be written."""
    try:
        return njit(cache=True, fastmath=True, error_model="numpy")(function)
    except RuntimeError:  # numba found no place for its cache: a read-only installation without a home
        return njit(fastmath=True, error_model="numpy")(function)


def inlined(function: Callable[..., Any]) -> Any:
    """A part of a kernel, made part of its caller's code: a call would count every array that it is given."""
    return njit(fastmath=True, error_model="numpy", inline="always")(function)
