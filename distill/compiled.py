"""Compilers of inner loops (numba): exact ones for the all-pairs engine, fast ones for synthetic faces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Any:
    """Strict IEEE arithmetic in the written order: the same result on every machine. Releases the GIL."""
    return _compile(function, fastmath=False)


def regrouped(function: Callable[..., Any]) -> Any:
    """Sums may be reassociated for speed: only for sums that are exact in any order. Releases the GIL."""
    # LLVM's flags for vectorised sums and fused multiply-adds; nnan and ninf are left out, so that NaN stays NaN
    return _compile(function, fastmath={"reassoc", "nsz", "contract"})


def _compile(function: Callable[..., Any], fastmath: Any) -> Any:
    options = {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no place for its cache: a read-only installation without a home
        return njit(**options)(function)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile at the first call and cache the machine code on disk; in memory only where no folder is writable."""
    try:
        return njit(cache=True, fastmath=True, error_model="numpy")(function)
    except RuntimeError:  # numba found no place for its cache: a read-only installation without a home
        return njit(fastmath=True, error_model="numpy")(function)


def inlined(function: Callable[..., Any]) -> Any:
    """A part of a kernel, inlined into its caller: a call would count references to every array argument."""
    return njit(fastmath=True, error_model="numpy", inline="always")(function)
