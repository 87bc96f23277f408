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
