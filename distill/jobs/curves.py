"""``make curves``: ROC, DET, histograms, thresholds and the hardest pairs of several models, as one page."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from distill.config.scoring_jobs import CurvesConf
from distill.curves.labelled_sets import evaluated_sets, feature_sets
from distill.curves.page import CurvesPage, SetCurves, write_curves
from distill.curves.pair_sets import open_models, verification_sets
from distill.errors import UserError
from distill.files.writable import require_writable
from distill.redact import command_line
from distill.report.run_charts import COLOURS
from distill.report.terminal import print_facts
from distill.runs.requirements import require_at_least
from distill.shown import shown


def run(conf: CurvesConf) -> int:
    """Score what is not scored yet, draw everything, write the page; 0."""
    _check(conf)
    models, pairs = _several(conf.models, "models"), _several(conf.pairs, "pairs")
    evaluations, features = _several(conf.evaluations, "evaluations"), _several(conf.features, "features")
    _require_something(models, pairs, evaluations, features)
    out = require_writable(Path(conf.out), "out=FILE")
    opened = open_models(models, pairs, conf.max_damaged)  # better refused now than when everything else is scored
    sets = [*evaluated_sets(evaluations, conf), *feature_sets(features, conf), *verification_sets(opened, conf)]
    page = CurvesPage(
        title=_title(sets),
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=command_line(),
        sets=sets,
        faces=conf.show_faces,
    )
    write_curves(out, page)
    for found in sets:
        print_facts(found.name, [(model.name, _told(found, i)) for i, model in enumerate(found.models)])
    print(f"page      {shown(out)}")
    return 0


def _several(value: Any, key: str) -> list[str]:
    """One name or a list of them."""
    names = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) and name for name in names):
        raise UserError(f"{key} is {value!r}; expected a file or a list of files, e.g. {key}=[a,b]")
    if len(names) > COLOURS:
        raise UserError(f"{key} has {len(names)} files; expected at most {COLOURS}: more curves cannot be told apart")
    return names


def _check(conf: CurvesConf) -> None:
    require_at_least(conf, hardest=0, bootstrap=1, batch_size=1, seed=0)
    if bad := [fpr for fpr in conf.fprs if not 0 < fpr < 1]:
        raise UserError(f"fprs has {bad[0]:g}; expected numbers between 0 and 1")
    if Path(conf.out).suffix.lower() != ".html":
        raise UserError(f"out is {conf.out!r}; expected a file that ends in .html")


def _require_something(models: list[str], pairs: list[str], evaluations: list[str], features: list[str]) -> None:
    if bool(models) != bool(pairs):
        given, other = ("models", "pairs=FILE.bin") if models else ("pairs", "models=[A.onnx,runs/B]")
        raise UserError(f"{given} is given without its counterpart; expected {other} as well")
    if not (models or evaluations or features):
        raise UserError(
            "nothing to draw; expected models=[A.onnx,runs/B] with pairs=FILE.bin, or evaluations=[DIR,...], or "
            "features=[A.bin,...] with data.root=DIR"
        )


def _title(sets: list[SetCurves]) -> str:
    names = sorted({model.name for found in sets for model in found.models})
    return " and ".join(names) if len(names) <= 2 else f"{len(names)} models compared"


def _told(found: SetCurves, index: int) -> str:
    """The TPR of a model at the lowest FPR that its pairs support."""
    point = found.models[index].strictest
    return "-" if point is None or point.tpr is None else f"TPR {point.tpr:.4f} at FPR {point.fpr:g}"
