"""Cheap checks of options and text files before long work: errors that would otherwise end a job only after hours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from distill.config.aliases import BETTER
from distill.errors import UserError
from distill.metrics.allpairs.engine import Engine, shape_for


def require_at_least(conf: Any, **least: int) -> None:
    """``UserError`` for the first option of ``conf`` that is below its least value."""
    for name, value in least.items():
        if getattr(conf, name) < value:
            raise UserError(f"{BETTER.get(name, name)} is {getattr(conf, name)}; expected {value} or more")


def require_folds(path: Path, pairs: int, folds: int) -> None:
    """``UserError`` for a set that cannot be parted into so many folds."""
    if not 2 <= folds <= pairs:
        raise UserError(f"{path}: {pairs} pairs for {folds} folds; expected 2 folds or more and a pair for each")


def require_engine(engine: Engine, columns: int) -> None:
    """``UserError`` for a device that is not there, or memory that rows of ``columns`` floats do not fit in."""
    try:
        torch.empty(1, device=engine.device)
        shape_for(engine, columns, torch.get_num_threads())
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # unknown, not compiled in, without storage
        why = str(error).partition("\n")[0]
        raise UserError(f"device is {engine.device}, which cannot be used ({why}); expected cpu, or cuda") from error
