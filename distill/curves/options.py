"""The options of ``make curves``, checked before anything is scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distill.config.scoring_jobs import CurvesConf
from distill.errors import UserError
from distill.report.run_charts import COLOURS
from distill.runs.requirements import require_at_least


def several_files(value: Any, key: str) -> list[str]:
    """One name or a list of them."""
    names = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) and name for name in names):
        raise UserError(f"{key} is {value!r}; expected a file or a list of files, e.g. {key}=[a,b]")
    if len(names) > COLOURS:
        raise UserError(
            f"{key} has {len(names)} files; expected at most {COLOURS}: more curves cannot be distinguished"
        )
    return names


def require_options(conf: CurvesConf) -> None:
    """``UserError`` for a number out of range or a page that is no HTML file."""
    require_at_least(conf, hardest=0, bootstrap=1, batch_size=1, seed=0)
    if bad := [fpr for fpr in conf.fprs if not 0 < fpr < 1]:
        raise UserError(f"fprs has {bad[0]:g}; expected numbers between 0 and 1")
    if Path(conf.out).suffix.lower() != ".html":
        raise UserError(f"out is {conf.out!r}; expected a file that ends in .html")


def require_something(models: list[str], pairs: list[str], evaluations: list[str], features: list[str]) -> None:
    """``UserError`` where models lack pairs or pairs models, or where nothing is given at all."""
    if bool(models) != bool(pairs):
        given, other = ("models", "pairs=FILE.bin") if models else ("pairs", "models=[A.onnx,runs/B]")
        raise UserError(f"{given} is given without its counterpart; expected {other} as well")
    if not (models or evaluations or features):
        raise UserError(
            "nothing to draw; expected models=[A.onnx,runs/B] with pairs=FILE.bin, or evaluations=[DIR,...], or "
            "features=[A.bin,...] with data.root=DIR"
        )
