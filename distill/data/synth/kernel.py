"""Compiled inner loops: one decorator, so that every kernel is compiled in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile at the first call and keep the machine code on disk; in memory alone where no folder can be written."""
    try:
        return njit(cache=True, fastmath=True, error_model="numpy")(function)
    except RuntimeError:  # numba found no place for its cache: a read-only installation without a home
        return njit(fastmath=True, error_model="numpy")(function)


def inlined(function: Function) -> Function:
    """A part of a kernel, made part of its caller's code: a call would copy every array that it is given."""
    return njit(fastmath=True, error_model="numpy", inline="always")(function)
