"""``make curves``: ROC, DET, histograms, thresholds and the hardest pairs of several models, as one page."""

from __future__ import annotations

import datetime
from pathlib import Path

from distill.config.scoring_jobs import CurvesConf
from distill.curves.labelled_sets import evaluated_sets, feature_sets
from distill.curves.options import require_options, require_something, several_files
from distill.curves.page import CurvesPage, SetCurves, write_curves
from distill.curves.pair_sets import open_models, verification_sets
from distill.files.writable import require_writable
from distill.redact import command_line
from distill.report.terminal import print_facts
from distill.shown import shown


def run(conf: CurvesConf) -> int:
    """Score what is not scored yet, draw everything, write the page; 0."""
    require_options(conf)
    models, pairs = several_files(conf.models, "models"), several_files(conf.pairs, "pairs")
    evaluations, features = several_files(conf.evaluations, "evaluations"), several_files(conf.features, "features")
    require_something(models, pairs, evaluations, features)
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


def _title(sets: list[SetCurves]) -> str:
    names = sorted({model.name for found in sets for model in found.models})
    return " and ".join(names) if len(names) <= 2 else f"{len(names)} models compared"


def _told(found: SetCurves, index: int) -> str:
    """The TPR of a model at the lowest FPR that its pairs support."""
    point = found.models[index].strictest
    return "-" if point is None or point.tpr is None else f"TPR {point.tpr:.4f} at FPR {point.fpr:g}"
